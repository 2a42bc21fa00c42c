// intents.cpp - the journal's file: fixed records, each with a checksum.
#include "agent/intents.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>

#include "agent/same_file.hpp"
#include "finops/base/description_lock.hpp"
#include "finops/base/durable.hpp"
#include "finops/base/error.hpp"
#include "finops/base/private_file.hpp"

namespace finops::agent {
namespace {

constexpr std::uint64_t kMagic = 0x746e'6574'6e69'6631;  // "1fintent": the layout's version
constexpr off_t kFileSize = IntentJournal::kRecordSize * IntentJournal::kRecordCount;
// Bytes that carry locks: writing is short, an import waits for the ledger.
constexpr off_t kWriteByte = 0;
constexpr off_t kImportByte = 1;

struct RawRecord {
  std::uint64_t magic;
  std::uint64_t number;  // grows: the order of writing
  std::uint32_t is_imported;
  std::uint32_t directive;
  std::uint32_t rule;
  std::uint32_t rung;
  std::uint32_t is_dry_run;
  std::uint32_t checksum;  // of the record with this field at zero
  std::int64_t decided_at_ns;
  std::array<char, 128> attempt_id;
  std::array<char, 64> decided_by;
  std::array<char, 784> reason;
};
static_assert(sizeof(RawRecord) == IntentJournal::kRecordSize);

// FNV-1a: it has to tell a torn record from a whole one, not to resist anybody.
std::uint32_t checksum_of(RawRecord record) {
  record.checksum = 0;
  std::array<unsigned char, sizeof(RawRecord)> bytes{};
  std::memcpy(bytes.data(), &record, sizeof record);
  std::uint32_t hash = 2'166'136'261U;
  for (const unsigned char byte : bytes) {
    hash = (hash ^ byte) * 16'777'619U;
  }
  return hash;
}

template <std::size_t Size>
void put_text(std::array<char, Size>& field, const std::string& text) {
  std::size_t size = std::min(text.size(), Size - 1);
  while (size < text.size() && size > 0 &&
         (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) {
    --size;  // no half character: the ledger's readers expect UTF-8
  }
  text.copy(field.data(), size);
}

template <std::size_t Size>
std::string text_in(const std::array<char, Size>& field) {
  return {field.data(), strnlen(field.data(), Size)};
}

RawRecord to_raw(const DecisionRecord& intent, std::uint64_t number) {
  RawRecord raw{};
  raw.magic = kMagic;
  raw.number = number;
  raw.directive = static_cast<std::uint32_t>(intent.directive);
  raw.rule = static_cast<std::uint32_t>(intent.rule);
  raw.rung = static_cast<std::uint32_t>(intent.rung);
  raw.is_dry_run = intent.is_dry_run ? 1 : 0;
  raw.decided_at_ns = intent.decided_at.time_since_epoch().count();
  put_text(raw.attempt_id, intent.attempt_id.str());
  put_text(raw.decided_by, intent.decided_by);
  put_text(raw.reason, intent.reason);
  return raw;
}

DecisionRecord from_raw(const RawRecord& raw) {
  DecisionRecord intent;
  intent.attempt_id = AttemptId{text_in(raw.attempt_id)};
  intent.directive = static_cast<Directive>(std::min(raw.directive, 3U));
  intent.rule = static_cast<Rule>(std::min(raw.rule, static_cast<std::uint32_t>(Rule::Idle)));
  intent.rung = static_cast<Rung>(std::min(raw.rung, 3U));
  intent.reason = text_in(raw.reason);
  intent.decided_by = text_in(raw.decided_by);
  intent.decided_at = UtcTime{Nanoseconds{raw.decided_at_ns}};
  intent.is_dry_run = raw.is_dry_run != 0;
  return intent;
}

// One byte of the file, while it lives.
class ByteLock {
 public:
  ByteLock(int descriptor, off_t byte) : descriptor_(descriptor), byte_(byte) {}
  ~ByteLock() { unlock_description(descriptor_, byte_, 1); }
  ByteLock(const ByteLock&) = delete;
  ByteLock& operator=(const ByteLock&) = delete;

  [[nodiscard]] bool try_lock() const { return try_lock_description(descriptor_, byte_, 1); }
  // A holder that was stopped in the middle must not stop us for ever. A busy one lets go between
  // two records only for a moment: asked often, for as long as for the ledger's lock.
  [[nodiscard]] bool lock_soon() const {
    for (int attempt = 0; attempt < 25'000; ++attempt) {
      if (try_lock()) {
        return true;
      }
      const timespec pause{.tv_sec = 0, .tv_nsec = 200'000};
      nanosleep(&pause, nullptr);
    }
    return false;
  }

 private:
  int descriptor_;
  off_t byte_;
};

std::string failure(const std::string& path, const std::string& why) {
  return "the journal of intents " + path + " " + why;
}

}  // namespace

struct IntentJournal::Slot {
  std::size_t index = 0;
  RawRecord raw{};
  bool is_whole = false;

  [[nodiscard]] bool is_waiting() const { return is_whole && raw.is_imported == 0; }
};

IntentJournal::~IntentJournal() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

void IntentJournal::prepare() {
  if (!open_file() || FileIdentity::of(path_).inode == 0) {
    create_file();
  }
  // Once for each agent: whoever created the file may have been killed before its name was durable.
  if (!is_name_durable_ && FileIdentity::of(path_).inode != 0) {
    FINOPS_REQUIRE(sync_folder(folder_of(path_)), ErrorCode::SystemFailure,
                   failure(path_, "has a folder that cannot be synced: " + errno_text(errno)));
    is_name_durable_ = true;
  }
}

void IntentJournal::create_file() {
  const PrivateFile file = open_private_file(path_, O_RDWR | O_CREAT);
  if (!file.is_open() && descriptor_ >= 0) {
    return;  // the home is gone: what is open must do, or nobody there could be stopped
  }
  FINOPS_REQUIRE(file.is_open(), ErrorCode::SystemFailure,
                 failure(path_, "cannot be made: " + file.why));
  const int descriptor = file.descriptor;
  const int refused = posix_fallocate(descriptor, 0, kFileSize);
  const bool is_durable = refused == 0 && fsync(descriptor) == 0;
  close(descriptor);
  FINOPS_REQUIRE(is_durable, ErrorCode::SystemFailure,
                 failure(path_,
                         "cannot be allocated: " + errno_text(refused != 0 ? refused : errno)));
  FINOPS_REQUIRE(open_file(), ErrorCode::SystemFailure,
                 failure(path_, "is no file of ours with 1 MiB"));
}

bool IntentJournal::open_file() {
  if (descriptor_ >= 0) {
    const FileIdentity named = FileIdentity::of(path_);
    if (named.inode == 0 || named == FileIdentity::of(descriptor_)) {
      return true;
    }
    close(descriptor_);  // another home came to the place of the one that it was opened in
    descriptor_ = -1;
  }
  const int descriptor = open_private_file(path_, O_RDWR).descriptor;
  if (descriptor < 0) {
    return false;
  }
  struct stat info{};
  if (fstat(descriptor, &info) != 0 || info.st_size < kFileSize) {
    close(descriptor);
    return false;
  }
  descriptor_ = descriptor;
  return true;
}

// Slots are taken into use in their order, so that a block without a record ends what there is to
// read: every round of an agent asks, and nearly always there is nothing.
std::optional<std::vector<IntentJournal::Slot>> IntentJournal::slots() const {
  constexpr std::size_t kBlock = 16;
  std::vector<Slot> used;
  std::array<RawRecord, kBlock> records{};
  for (std::size_t first = 0; first < kRecordCount; first += kBlock) {
    const auto offset = static_cast<off_t>(first * kRecordSize);
    if (pread(descriptor_, records.data(), sizeof records, offset) != sizeof records) {
      return std::nullopt;  // nothing is known of it: nothing is imported, and nothing overwritten
    }
    if (std::ranges::none_of(records, [](const RawRecord& raw) { return raw.magic == kMagic; })) {
      break;
    }
    used.reserve(used.size() + kBlock);
    for (const RawRecord& raw : records) {
      used.push_back({.index = used.size(),
                      .raw = raw,
                      .is_whole = raw.magic == kMagic && raw.checksum == checksum_of(raw)});
    }
  }
  return used;
}

void IntentJournal::write_slot(const Slot& slot) const {
  RawRecord raw = slot.raw;
  raw.checksum = checksum_of(raw);
  const auto offset = static_cast<off_t>(slot.index * kRecordSize);
  const bool is_durable =
      pwrite(descriptor_, &raw, kRecordSize, offset) == static_cast<ssize_t>(kRecordSize) &&
      fdatasync(descriptor_) == 0;
  FINOPS_REQUIRE(is_durable, ErrorCode::SystemFailure,
                 failure(path_, "cannot be written: " + errno_text(errno)));
}

void IntentJournal::append(const DecisionRecord& intent) {
  prepare();
  const ByteLock lock(descriptor_, kWriteByte);
  FINOPS_REQUIRE(lock.lock_soon(), ErrorCode::SystemFailure,
                 failure(path_, "is locked by another agent"));
  std::optional<std::vector<Slot>> read = slots();
  FINOPS_REQUIRE(read.has_value(), ErrorCode::SystemFailure,
                 failure(path_, "cannot be read: " + errno_text(errno)));
  std::vector<Slot>& all = *read;
  if (all.size() < kRecordCount) {
    all.push_back({.index = all.size(), .raw = {}, .is_whole = false});
  }
  Slot* oldest = nullptr;
  std::uint64_t number = 0;
  const auto age_of = [](const Slot& slot) { return slot.is_whole ? slot.raw.number : 0; };
  for (Slot& slot : all) {
    number = std::max(number, age_of(slot));
    if (!slot.is_waiting() && (oldest == nullptr || age_of(slot) < age_of(*oldest))) {
      oldest = &slot;
    }
  }
  FINOPS_REQUIRE(oldest != nullptr, ErrorCode::SystemFailure,
                 failure(path_, "is full of " + std::to_string(kRecordCount) +
                                    " intents that the ledger could not take yet; repair the "
                                    "ledger (finops doctor)"));
  oldest->raw = to_raw(intent, number + 1);
  write_slot(*oldest);
}

std::vector<IntentJournal::Slot> IntentJournal::waiting_slots() const {
  std::vector<Slot> all = slots().value_or(std::vector<Slot>{});
  std::erase_if(all, [](const Slot& slot) { return !slot.is_waiting(); });
  std::sort(all.begin(), all.end(),
            [](const Slot& left, const Slot& right) { return left.raw.number < right.raw.number; });
  return all;
}

std::vector<DecisionRecord> IntentJournal::pending() {
  std::vector<DecisionRecord> waiting;
  if (open_file()) {
    for (const Slot& slot : waiting_slots()) {
      waiting.push_back(from_raw(slot.raw));
    }
  }
  return waiting;
}

void IntentJournal::import_each(const std::function<bool(const DecisionRecord&)>& import) {
  if (!open_file()) {
    return;
  }
  const ByteLock lock(descriptor_, kImportByte);
  if (!lock.try_lock()) {
    return;
  }
  for (Slot& slot : waiting_slots()) {
    if (import(from_raw(slot.raw))) {
      slot.raw.is_imported = 1;
      write_slot(slot);  // nobody else touches a waiting record
    }
  }
}

void import_intent(Ledger& ledger, const DecisionRecord& intent) {
  // As many as an attempt can have got while the ledger was away, and then some.
  constexpr std::int64_t kLookedThrough = 2 * IntentJournal::kRecordCount;
  for (const DecisionRecord& known : ledger.decisions(intent.attempt_id, kLookedThrough)) {
    if (known.decided_at == intent.decided_at && known.rung == intent.rung &&
        known.rule == intent.rule && known.decided_by == intent.decided_by) {
      return;
    }
  }
  ledger.add_decision(intent);
}

}  // namespace finops::agent
