// fuzz_group.cpp - the group file by which ranks find each other.
//
// Invariants: what it names is an attempt's id that makes a safe file name, or nothing; removing
// old files survives any of them.
#include "finops/pulse/own_page.hpp"
#include "fuzz.hpp"
#include "tracker/group_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library
  static const fuzz::TempFolder kFolder;
  fuzz::Bytes bytes(data, size);
  const std::string path = kFolder / ".group-job";
  fuzz::write_private_file(path, bytes.rest());
  if (size % 2 == 0) {  // two weeks old
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() -
                                               std::chrono::hours{24 * 14});
  }
  {
    tracker::GroupFile file(kFolder.path(), "job");
    fuzz::require(file.try_lock(), "a file that nobody has can be locked");
    const AttemptId named = file.read();
    fuzz::require(named.empty() || is_file_safe(named.str()), "a safe name or none");
    file.reserve();
    if (size % 3 == 0) {
      file.write(AttemptId{"run-1"});
      fuzz::require(file.read() == AttemptId{"run-1"}, "what was written is read");
    }
  }
  tracker::remove_old_group_files(kFolder.path());
  return 0;
}
