// read_file.hpp - the text of a small file of the system's, such as those in /proc.
//
// Owns: read_file. Private to base.
#pragma once

#include <cstddef>
#include <string>

namespace finops {

/// What can be read of the file, up to about `limit` bytes (the last block whole). Empty also if
/// there is none or it is not ours to read.
[[nodiscard]] std::string read_file(const std::string& path, std::size_t limit);

}  // namespace finops
