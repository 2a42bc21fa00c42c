// storage.cpp - applying changes, and the power loss.
#include "storage.hpp"

#include <algorithm>
#include <utility>

namespace finops::simulation {
namespace {

bool survives(const Choose& choose) { return choose(2) == 1; }

std::string_view folder_of(std::string_view path) { return path.substr(0, path.rfind('/')); }

}  // namespace

void Storage::put(Bytes& target, std::int64_t offset, const unsigned char* source,
                  std::int64_t size) {
  if (std::cmp_less(target.size(), offset + size)) {
    target.resize(static_cast<std::size_t>(offset + size));
  }
  std::copy_n(source, size, target.begin() + offset);
}

void Storage::replay(Bytes& target, const StorageChange& change) {
  if (change.kind == StorageChange::Kind::Truncate) {
    target.resize(static_cast<std::size_t>(change.offset));
  } else {
    put(target, change.offset, change.bytes.data(), std::ssize(change.bytes));
  }
}

void Storage::replay_torn(Bytes& target, const StorageChange& change, const Choose& choose) {
  if (change.kind == StorageChange::Kind::Truncate) {
    if (survives(choose)) {
      replay(target, change);
    }
    return;
  }
  const std::int64_t end = change.offset + std::ssize(change.bytes);
  std::int64_t from = change.offset;
  while (from < end) {
    const std::int64_t to = std::min(end, (from / kSectorSize + 1) * kSectorSize);
    if (survives(choose)) {
      put(target, from, change.bytes.data() + (from - change.offset), to - from);
    }
    from = to;
  }
}

Bytes Storage::what_is_left(const File& file, const Choose& choose) {
  Bytes left = file.durable;
  std::size_t largest_size = left.size();
  for (const StorageChange& change : file.unsynced) {
    replay_torn(left, change, choose);
    const auto written_end = static_cast<std::size_t>(change.offset) + change.bytes.size();
    largest_size = std::max(largest_size, written_end);
  }
  if (left.size() < largest_size && survives(choose)) {
    left.resize(largest_size);  // the size came through, the data did not
  }
  return left;
}

const Bytes& Storage::content(std::string_view path) const {
  static const Bytes kNothing;
  const auto found = files_.find(path);
  return found == files_.end() ? kNothing : found->second.content;
}

void Storage::remove(const StorageChange& change) {
  const auto found = files_.find(change.path);
  if (found == files_.end()) {
    return;
  }
  if (change.kind == StorageChange::Kind::DurableDelete) {
    removed_.erase(change.path);
  } else if (found->second.is_name_durable) {
    removed_[change.path] = std::move(found->second);
  }
  files_.erase(found);
}

void Storage::apply(const StorageChange& change) {
  using Kind = StorageChange::Kind;
  if (change.kind == Kind::Delete || change.kind == Kind::DurableDelete) {
    remove(change);
    return;
  }
  File& file = files_[change.path];
  switch (change.kind) {
    case Kind::Write:
    case Kind::Truncate:
      replay(file.content, change);
      file.unsynced.push_back(change);
      break;
    case Kind::Sync:
      for (const StorageChange& unsynced : file.unsynced) {
        replay(file.durable, unsynced);
      }
      file.unsynced.clear();
      break;
    case Kind::FailedSync: file.unsynced.clear(); break;
    case Kind::NameSync:
      file.is_name_durable = true;
      std::erase_if(removed_, [&change](const auto& removed) {
        return folder_of(removed.first) == folder_of(change.path);
      });
      break;
    case Kind::Create:
    case Kind::Delete:
    case Kind::DurableDelete: break;
  }
}

void Storage::lose_power(const Choose& choose) {
  std::map<std::string, File, std::less<>> left;
  const auto keep = [&](const std::string& path, const File& file) {
    Bytes bytes = what_is_left(file, choose);
    left[path] = {.content = bytes, .durable = bytes, .unsynced = {}, .is_name_durable = true};
  };
  for (const auto& [path, file] : files_) {
    if (file.is_name_durable || survives(choose)) {
      keep(path, file);
    }
  }
  for (const auto& [path, file] : removed_) {
    if (!left.contains(path) && !survives(choose)) {
      keep(path, file);
    }
  }
  files_ = std::move(left);
  removed_.clear();
}

}  // namespace finops::simulation
