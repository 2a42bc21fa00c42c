// model_file_checksum.hpp - a number that changes when anything in a model does.
//
// Owns: model_checksum. Private to predict; tests forge files with it.
#pragma once

#include <cstdint>
#include <string>

#include "finops/predict/forest.hpp"

namespace finops::predict {

/// FNV-1a, 64 bits, over all numbers and names in their order, each list with its length before
/// it: spacing and the order of fields in the text do not count. As "fnv1a64:" and 16 digits.
/// Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm", draft-eastlake-fnv.
[[nodiscard]] std::string model_checksum(const ForestModel& model);

}  // namespace finops::predict
