// bench_support.hpp - what the C++ benchmarks share.
//
// Owns: TemporaryFolder, medians, the short mode. Does not own: what is measured.
// Invariant: a benchmark leaves nothing behind and touches no ledger but its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace finops::bench {

/// Whether the run only has to show that the benchmark works.
inline bool is_short() {
  const char* value = std::getenv("FINOPS_BENCH_SHORT");
  return value != nullptr && *value != '\0' && std::string(value) != "0";
}

/// A folder of our own (0700) below $TMPDIR, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "finops-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder like " + name);
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

/// The value below which `ratio` (0..1) of the samples lie; 0.5 is the median. 0 without samples.
inline double quantile(std::vector<double> samples, double ratio) {
  if (samples.empty()) {
    return 0;
  }
  std::sort(samples.begin(), samples.end());
  const double last = static_cast<double>(samples.size() - 1);
  return samples[static_cast<std::size_t>(std::lround(last * ratio))];
}

}  // namespace finops::bench
