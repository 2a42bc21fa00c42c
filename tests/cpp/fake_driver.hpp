// fake_driver.hpp - moves the fake NVIDIA driver (fake_nvml/fake_nvml.cpp) of a test.
//
// Owns: FakeDriver. Does not own: the path of the libraries (FINOPS_FAKE_NVML_DIR, a definition
// that only sources which name it get), what the text means (fake_nvml.cpp).
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "support.hpp"

namespace finops::testing {

class FakeDriver {
 public:
  explicit FakeDriver(const std::string& text) {
    setenv("FAKE_NVML_FILE", (folder_ / "driver").c_str(), 1);
    say(text);
  }
  ~FakeDriver() = default;
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  /// From now on the driver answers this, and unblocks what the text does not block.
  void say(const std::string& text) const {
    const std::string fresh = folder_ / "driver.new";
    std::ofstream(fresh) << text;
    std::rename(fresh.c_str(), (folder_ / "driver").c_str());
  }

 private:
  TempDir folder_;
};

}  // namespace finops::testing
