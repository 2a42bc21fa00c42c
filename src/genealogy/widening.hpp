// widening.hpp - who takes something out of a part paid for the wholes around it.
//
// Owns: widen. Does not own: the plain needs (needs.hpp, where the rule stands).
#pragma once

#include <span>

#include "genealogy/needs.hpp"

namespace finops::genealogy {

/// Adds the needs of wholes to the graph and the links of `needs`, whose graph has all plain ones.
void widen(const Names& names, std::span<const Sentence> sentences, Needs& needs);

}  // namespace finops::genealogy
