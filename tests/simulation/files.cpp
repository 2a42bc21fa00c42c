// files.cpp - descriptors, durable images, and what is left after a power loss.
#include "files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

// The real ones: the simulation's own calls go past its own kernel.
extern "C" int __real_close(int descriptor);     // NOLINT: the linker's name
extern "C" int __real_unlink(const char* path);  // NOLINT: the linker's name

namespace finops::simulation {
namespace {

constexpr std::size_t kSectorSize = 512;

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

void Files::opened(int descriptor, const std::string& path, std::uint64_t process, bool is_new) {
  struct stat info{};
  fstat(descriptor, &info);
  open_[descriptor] = {.path = path,
                       .file = {info.st_dev, info.st_ino},
                       .process = process,
                       .description = ++description_count_};
  if (is_new) {
    unsettled_names_.insert(path);
    durable_[path] = {};
  }
}

const OpenFile* Files::find(int descriptor) const {
  const auto found = open_.find(descriptor);
  return found == open_.end() ? nullptr : &found->second;
}

void Files::closed(int descriptor) { open_.erase(descriptor); }

std::vector<OpenFile> Files::close_all(std::uint64_t process) {
  std::vector<OpenFile> closed_files;
  for (auto entry = open_.begin(); entry != open_.end();) {
    if (entry->second.process == process) {
      closed_files.push_back(entry->second);
      __real_close(entry->first);
      entry = open_.erase(entry);
    } else {
      ++entry;
    }
  }
  return closed_files;
}

void Files::synced(int descriptor) {
  const OpenFile* file = find(descriptor);
  if (file == nullptr) {
    return;
  }
  if (std::filesystem::is_directory(file->path)) {
    std::erase_if(unsettled_names_,
                  [&](const std::string& name) { return folder_of(name) == file->path; });
    std::erase_if(unlinked_, [&](const auto& item) { return folder_of(item.first) == file->path; });
  } else {
    durable_[file->path] = read_all(file->path);
  }
}

void Files::unlinking(const std::string& path) {
  if (!unsettled_names_.contains(path) && std::filesystem::is_regular_file(path)) {
    unlinked_[path] = read_all(path);
  }
  unsettled_names_.erase(path);
  durable_.erase(path);
}

void Files::renamed(const std::string& from, const std::string& to) {
  durable_[to] = durable_[from];
  durable_.erase(from);
  unsettled_names_.erase(from);
  unsettled_names_.insert(to);
  for (auto& [descriptor, file] : open_) {
    if (file.path == from) {
      file.path = to;
    }
  }
}

void Files::lose_power(const Choose& choose) {
  for (const auto& [path, content] : unlinked_) {
    if (choose(2) == 0 && !std::filesystem::exists(path)) {
      write_all(path, content);
    }
  }
  unlinked_.clear();
  for (const auto& [path, old] : durable_) {
    // The ledger's content, and whether its name is left, is the simulated disk's affair.
    if (!std::filesystem::is_regular_file(path) || path.ends_with("/ledger.db")) {
      continue;
    }
    if (unsettled_names_.contains(path) && choose(2) == 0) {
      __real_unlink(path.c_str());
      continue;
    }
    Bytes left = read_all(path);
    const Bytes current = left;
    left.resize(choose(2) == 0 ? old.size() : current.size());
    for (std::size_t begin = 0; begin < left.size(); begin += kSectorSize) {
      const bool keeps_old = choose(2) == 0;
      const std::size_t end = std::min(left.size(), begin + kSectorSize);
      for (std::size_t at = begin; at < end; ++at) {
        const Bytes& source = keeps_old ? old : current;
        left[at] = at < source.size() ? source[at] : 0;
      }
    }
    write_all(path, left);
  }
  unsettled_names_.clear();
  std::map<std::string, Bytes> settled;
  for (const auto& [path, old] : durable_) {
    if (std::filesystem::is_regular_file(path)) {
      settled[path] = read_all(path);
    }
  }
  durable_ = std::move(settled);
}

Bytes Files::read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Files::write_all(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  std::filesystem::permissions(path, std::filesystem::perms::owner_read |
                                         std::filesystem::perms::owner_write);
}

}  // namespace finops::simulation
