// replay_main.cpp - runs a fuzz target once on each file of its corpus, without a fuzzer.
//
// Owns: main of the replay tests. Does not own: what counts as a fault (the targets: they crash).
// Invariant: the name of a file is printed before it is run, so that a crash names its input.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> files_below(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) {
    return {path};
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void run(const std::filesystem::path& path) {
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::uint8_t> data(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(data.data(), data.size());
}

}  // namespace

int main(int argument_count, char** arguments) {
  std::size_t run_count = 0;
  for (int index = 1; index < argument_count; ++index) {
    for (const std::filesystem::path& path : files_below(arguments[index])) {
      run(path);
      ++run_count;
    }
  }
  std::printf("%zu inputs\n", run_count);
  return run_count > 0 ? 0 : 1;  // an empty corpus would test nothing
}
