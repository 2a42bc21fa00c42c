// lineage_backlog.cpp - writes and reads small files of JSON lines.
#include "tracker/lineage_backlog.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "finops/base/durable.hpp"
#include "finops/base/error.hpp"
#include "finops/base/ids.hpp"
#include "finops/base/private_file.hpp"
#include "finops/record/lineage_lines.hpp"

namespace finops::tracker {
namespace {

constexpr std::string_view kPrefix = "lineage-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr std::size_t kMostFiles = 100;  // of one start, which must stay quick
constexpr std::size_t kLongestFile = std::size_t{16} << 20U;
constexpr std::ptrdiff_t kBatch = 500;

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : file_(open_private_file(path, flags)) {
    FINOPS_REQUIRE(file_.is_open(), ErrorCode::SystemFailure, "cannot open " + file_.why);
  }
  ~Descriptor() { ::close(file_.descriptor); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return file_.descriptor; }

 private:
  PrivateFile file_;
};

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    FINOPS_REQUIRE(written > 0, ErrorCode::SystemFailure, "cannot write: " + errno_text(errno));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string read_all(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  std::string text;
  std::string block(std::size_t{64} << 10U, '\0');
  for (;;) {
    const ssize_t count = ::read(file.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    FINOPS_REQUIRE(count >= 0, ErrorCode::SystemFailure,
                   "cannot read " + path + ": " + errno_text(errno));
    if (count == 0) {
      return text;
    }
    text.append(block, 0, static_cast<std::size_t>(count));
    FINOPS_REQUIRE(text.size() <= kLongestFile, ErrorCode::SystemFailure,
                   path + " is larger than finops writes one; move it away");
  }
}

// Throws if the ledger is away; then the file stays as it is.
void take_in(const std::string& text, Ledger& ledger, std::vector<std::string>& warnings) {
  const auto leave_out = [&warnings](const std::string& refusal) {
    warnings.push_back("what an earlier run recorded is left out: " + refusal);
  };
  std::deque<LineageEdge> edges;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    try {
      edges.push_back(std::get<LineageEdge>(parse_lineage_line(line)));
    } catch (const std::exception& error) {
      if (!is_refusal(error)) {
        throw;
      }
      leave_out(error.what());
    }
  }
  write_waiting(ledger, edges, Nanoseconds::max(), leave_out);
}

std::vector<std::string> files_of(const std::string& home_path) {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(home_path, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix) && paths.size() < kMostFiles) {
      paths.push_back(entry.path().string());
    }
  }
  return paths;
}

}  // namespace

bool is_refusal(const std::exception& error) noexcept {
  const auto* known = dynamic_cast<const Error*>(&error);
  return dynamic_cast<const std::bad_variant_access*>(&error) != nullptr ||
         (known != nullptr &&
          (known->code() == ErrorCode::InvalidArgument || known->code() == ErrorCode::Conflict));
}

void write_waiting(Ledger& ledger, std::deque<LineageEdge>& waiting, Nanoseconds most_time,
                   const std::function<void(const std::string&)>& refused) {
  const auto start = std::chrono::steady_clock::now();
  std::ptrdiff_t batch = kBatch;
  bool has_progressed = false;  // each call gets on: a batch at fault is halved within one
  while (!waiting.empty() &&
         (!has_progressed || std::chrono::steady_clock::now() - start < most_time)) {
    batch = std::min(batch, std::ssize(waiting));
    try {
      LineageRecords records;
      records.edges.assign(waiting.begin(), waiting.begin() + batch);
      ledger.add_lineage(records);
    } catch (const std::exception& error) {
      if (!is_refusal(error)) {
        throw;
      }
      if (batch > 1) {
        batch /= 2;  // the others of the batch are not at fault
        continue;
      }
      refused(error.what());
    }
    waiting.erase(waiting.begin(), waiting.begin() + batch);
    has_progressed = true;
    batch = std::min(batch * 2, kBatch);
  }
}

void leave_for_next_start(const std::string& home_path, const std::deque<LineageEdge>& edges) {
  const std::string path =
      home_path + "/" + std::string(kPrefix) + random_id_text(12) + std::string(kSuffix);
  const std::string unfinished = path + ".new";
  {
    const Descriptor file(unfinished, O_CREAT | O_EXCL | O_WRONLY);
    for (const LineageEdge& edge : edges) {
      write_all(file.get(), lineage_line(edge) + "\n");
    }
    FINOPS_REQUIRE(::fsync(file.get()) == 0, ErrorCode::SystemFailure,
                   "cannot sync " + unfinished + ": " + errno_text(errno));
  }
  FINOPS_REQUIRE(std::rename(unfinished.c_str(), path.c_str()) == 0 && sync_folder(home_path),
                 ErrorCode::SystemFailure, "cannot keep " + path + ": " + errno_text(errno));
}

void take_in_lineage(const std::string& home_path, Ledger& ledger,
                     std::vector<std::string>& warnings) noexcept {
  try {
    for (const std::string& path : files_of(home_path)) {
      take_in(read_all(path), ledger, warnings);
      ::unlink(path.c_str());
    }
  } catch (const std::exception& error) {
    warnings.push_back(std::string("what an earlier run recorded waits: ") + error.what());
  }
}

}  // namespace finops::tracker
