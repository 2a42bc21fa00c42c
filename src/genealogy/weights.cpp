// weights.cpp - see weights.hpp.
#include "genealogy/weights.hpp"

#include <algorithm>
#include <cstdint>

namespace finops::genealogy {

std::vector<Money> split_by(Money amount, std::span<const Int128> sizes) {
  if (sizes.empty()) {
    return {};
  }
  const Int128 largest = std::max(Int128{0}, *std::max_element(sizes.begin(), sizes.end()));
  const Int128 most = INT64_MAX / static_cast<std::int64_t>(sizes.size());
  int shift = 0;
  while ((largest >> shift) > most) {
    ++shift;
  }
  std::vector<std::int64_t> weights(sizes.size(), 1);
  if (largest > 0) {
    std::transform(sizes.begin(), sizes.end(), weights.begin(), [shift](Int128 size) {
      return size > 0 ? static_cast<std::int64_t>(size >> shift) : std::int64_t{0};
    });
  }
  return amount.split(weights);
}

}  // namespace finops::genealogy
