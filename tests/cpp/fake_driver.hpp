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

/// One at a time. Its file has one name for as long as the process lives, and the environment is
/// set once: a thread that is stuck in the driver may read it at any time.
class FakeDriver {
 public:
  explicit FakeDriver(const std::string& text) { say(text); }
  /// Unblocks whoever is stuck.
  ~FakeDriver() { std::remove(path().c_str()); }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  /// From now on the driver answers this, and unblocks what the text does not block.
  void say(const std::string& text) const {
    const std::string fresh = path() + ".new";
    std::ofstream(fresh) << text;
    std::rename(fresh.c_str(), path().c_str());
  }

 private:
  static const std::string& path() {
    static const TempDir kFolder;
    static const std::string kPath = [] {
      std::string path = kFolder / "driver";
      setenv("FAKE_NVML_FILE", path.c_str(), 1);
      return path;
    }();
    return kPath;
  }
};

}  // namespace finops::testing
