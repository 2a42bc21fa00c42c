// disk_vfs.cpp - the tables of functions by which SQLite reaches the simulated disk.
#include <algorithm>
#include <cstring>
#include <utility>

#include "disk.hpp"

namespace finops::simulation {
namespace {

constexpr std::int64_t kUnixEpochJulianMs = 210'866'760'000'000;  // 1970-01-01 in julian days

// What SQLite allocates for an open file.
struct OpenFile : sqlite3_file {
  Disk* disk;
  void* handle;
};

}  // namespace

// What SQLite calls. Arguments are in SQLite's order; each finds its handle and goes on in Disk.
struct DiskCalls {
  using Handle = Disk::Handle;

  static Disk& disk_of(sqlite3_file* file) { return *static_cast<OpenFile*>(file)->disk; }
  static Disk& disk_of(sqlite3_vfs* vfs) { return *static_cast<Disk*>(vfs->pAppData); }
  static Handle& handle_of(sqlite3_file* file) {
    return *static_cast<Handle*>(static_cast<OpenFile*>(file)->handle);
  }
  static const Bytes& content_of(sqlite3_file* file) {
    const Handle& handle = handle_of(file);
    return handle.path.empty() ? handle.temporary : disk_of(file).storage_.content(handle.path);
  }

  // Files.
  static int close(sqlite3_file* file) {
    disk_of(file).close(&handle_of(file));
    return SQLITE_OK;
  }
  static int read(sqlite3_file* file, void* target, int size, sqlite3_int64 offset) {
    const Handle& handle = handle_of(file);
    const int refused = disk_of(file).ask(handle, {.operation = DiskOperation::Read,
                                                   .path = handle.path,
                                                   .offset = offset,
                                                   .size = size});
    if (refused != SQLITE_OK) {
      return refused;
    }
    const Bytes& content = content_of(file);
    const std::int64_t there =
        std::clamp<std::int64_t>(std::ssize(content) - offset, 0, std::int64_t{size});
    auto* bytes = static_cast<unsigned char*>(target);
    std::copy_n(content.begin() + (there > 0 ? offset : 0), there, bytes);
    std::fill(bytes + there, bytes + size, static_cast<unsigned char>(0));
    return there == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }
  static int write(sqlite3_file* file, const void* source, int size, sqlite3_int64 offset) {
    return disk_of(file).write(handle_of(file), static_cast<const unsigned char*>(source), size,
                               offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    return disk_of(file).truncate(handle_of(file), size);
  }
  static int sync(sqlite3_file* file, int) { return disk_of(file).sync(handle_of(file)); }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    *size = std::ssize(content_of(file));
    return handle_of(file).is_dead ? SQLITE_IOERR_FSTAT : SQLITE_OK;
  }
  static int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int sector_size(sqlite3_file*) { return Storage::kSectorSize; }
  // Promises nothing: a write may be torn, and SQLite pads the log to whole sectors.
  static int characteristics(sqlite3_file*) { return 0; }

  // Locks.
  static int lock(sqlite3_file* file, int level) {
    return disk_of(file).lock(handle_of(file), level);
  }
  static int unlock(sqlite3_file* file, int level) {
    Handle& handle = handle_of(file);
    handle.lock = std::min(handle.lock, level);
    return SQLITE_OK;
  }
  static int is_reserved(sqlite3_file* file, int* result) {
    const Handle& handle = handle_of(file);
    *result = handle.lock >= SQLITE_LOCK_RESERVED ||
              disk_of(file).is_locked_by_others(handle, SQLITE_LOCK_RESERVED);
    return SQLITE_OK;
  }

  // Shared memory.
  static int map(sqlite3_file* file, int index, int size, int is_extended, void volatile** memory) {
    void* region = nullptr;
    const int code =
        disk_of(file).map_region(handle_of(file), index, size, is_extended != 0, &region);
    *memory = region;
    return code;
  }
  static int lock_slots(sqlite3_file* file, int first, int count, int flags) {
    return disk_of(file).lock_slots(handle_of(file), first, count, flags);
  }
  static void barrier(sqlite3_file* file) {
    if (const Handle& handle = handle_of(file); !handle.is_dead) {
      disk_of(file).observer_.barrier(handle.path);
    }
  }
  static int unmap(sqlite3_file* file, int is_deleted) {
    disk_of(file).unmap(handle_of(file), is_deleted != 0);
    return SQLITE_OK;
  }
  // Nothing is mapped. But a checkpoint that finds a changed log calls `unfetch` right after it has
  // read the log's header, which is where the WAL-reset bug lies.
  static int fetch(sqlite3_file*, sqlite3_int64, int, void** memory) {
    *memory = nullptr;
    return SQLITE_OK;
  }
  static int unfetch(sqlite3_file* file, sqlite3_int64, void*) {
    barrier(file);
    return SQLITE_OK;
  }

  static constexpr sqlite3_io_methods kMethods{
      .iVersion = 3,
      .xClose = close,
      .xRead = read,
      .xWrite = write,
      .xTruncate = truncate,
      .xSync = sync,
      .xFileSize = file_size,
      .xLock = lock,
      .xUnlock = unlock,
      .xCheckReservedLock = is_reserved,
      .xFileControl = file_control,
      .xSectorSize = sector_size,
      .xDeviceCharacteristics = characteristics,
      .xShmMap = map,
      .xShmLock = lock_slots,
      .xShmBarrier = barrier,
      .xShmUnmap = unmap,
      .xFetch = fetch,
      .xUnfetch = unfetch,
  };

  // The disk as a whole.
  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* raw, int flags,
                  int* flags_given) {
    Disk& disk = disk_of(vfs);
    raw->pMethods = nullptr;
    auto handle = std::make_unique<Handle>();
    handle->path = path == nullptr ? "" : path;
    handle->process = disk.observer_.process();
    handle->is_deleted_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    handle->syncs_name =
        (flags & SQLITE_OPEN_CREATE) != 0 &&
        (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    Handle& kept = *disk.handles_.emplace_back(std::move(handle));
    if (const int refused = disk.open(kept, flags); refused != SQLITE_OK) {
      std::erase_if(disk.handles_, [&kept](const auto& known) { return known.get() == &kept; });
      return refused;
    }
    auto* file = static_cast<OpenFile*>(raw);
    file->disk = &disk;
    file->handle = &kept;
    file->pMethods = &kMethods;
    if (flags_given != nullptr) {
      *flags_given = flags;
    }
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int is_durable) {
    Disk& disk = disk_of(vfs);
    std::int64_t ignored = 0;
    const int refused =
        disk.observer_.before({.operation = DiskOperation::Delete, .path = path}, ignored);
    if (refused != SQLITE_OK) {
      return refused;
    }
    if (!disk.exists(path)) {
      return SQLITE_IOERR_DELETE_NOENT;
    }
    using Kind = StorageChange::Kind;
    disk.change({.kind = is_durable != 0 ? Kind::DurableDelete : Kind::Delete,
                 .path = path,
                 .bytes = {}});
    return SQLITE_OK;
  }
  // As the unix VFS: an empty file does not count as existing.
  static int access(sqlite3_vfs* vfs, const char* path, int flags, int* result) {
    const Disk& disk = disk_of(vfs);
    const bool is_known = disk.exists(path);
    *result =
        flags == SQLITE_ACCESS_EXISTS ? is_known && !disk.storage_.content(path).empty() : is_known;
    return SQLITE_OK;
  }
  static int full_path(sqlite3_vfs*, const char* path, int size, char* target) {
    const std::size_t length = std::strlen(path);
    if (std::cmp_greater_equal(length, size)) {
      return SQLITE_CANTOPEN;
    }
    std::memcpy(target, path, length + 1);
    return SQLITE_OK;
  }
  static int randomness(sqlite3_vfs* vfs, int size, char* target) {
    for (int i = 0; i < size; ++i) {
      target[i] = static_cast<char>(disk_of(vfs).next_random() & 0xffU);
    }
    return size;
  }
  static int sleep(sqlite3_vfs* vfs, int microseconds) {
    disk_of(vfs).observer_.sleep(std::chrono::microseconds{microseconds});
    return microseconds;
  }
  static int time(sqlite3_vfs* vfs, sqlite3_int64* julian_ms) {
    *julian_ms = kUnixEpochJulianMs + disk_of(vfs).observer_.unix_time_ms();
    return SQLITE_OK;
  }
  static int time_in_days(sqlite3_vfs* vfs, double* days) {
    sqlite3_int64 julian_ms = 0;
    time(vfs, &julian_ms);
    *days = static_cast<double>(julian_ms) / 86'400'000.0;
    return SQLITE_OK;
  }
  static int last_error(sqlite3_vfs*, int, char*) { return 0; }

  static sqlite3_vfs table(Disk& disk) {
    sqlite3_vfs vfs{};
    vfs.iVersion = 2;
    vfs.szOsFile = sizeof(OpenFile);
    vfs.mxPathname = 4'096;
    vfs.zName = "finops-simulated";
    vfs.pAppData = &disk;
    vfs.xOpen = open;
    vfs.xDelete = remove;
    vfs.xAccess = access;
    vfs.xFullPathname = full_path;
    vfs.xRandomness = randomness;
    vfs.xSleep = sleep;
    vfs.xCurrentTime = time_in_days;
    vfs.xGetLastError = last_error;
    vfs.xCurrentTimeInt64 = time;
    return vfs;
  }
};

Disk::Disk(DiskObserver& observer, DiskOptions options)
    : observer_(observer),
      storage_(std::move(options.storage)),
      random_state_(options.seed),
      vfs_(DiskCalls::table(*this)),
      previous_vfs_(sqlite3_vfs_find(nullptr)) {
  sqlite3_vfs_register(&vfs_, 1);
  sqlite3_randomness(0, nullptr);  // SQLite's own generator begins anew, with ours
}

Disk::~Disk() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(previous_vfs_, 1);
  sqlite3_randomness(0, nullptr);
}

}  // namespace finops::simulation
