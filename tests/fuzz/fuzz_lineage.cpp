// fuzz_lineage.cpp - lines of `finops graph import`.
//
// Invariant: a line is refused with an Error, or it is a record that is written as a line which
// gives the same record back; no name that got through has what a screen cannot show.
#include "finops/record/lineage_lines.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

bool has_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void check_names(const LineageLine& record) {
  if (const auto* edge = std::get_if<LineageEdge>(&record)) {
    fuzz::require(!has_control(sentence(*edge)), "sentences can be shown");
    fuzz::is_allowed([&] { require_sensible(*edge); });
  } else if (const auto* node = std::get_if<LineageNode>(&record)) {
    fuzz::require(!has_control(node->node_id.str() + node->label), "names can be shown");
    fuzz::require(parse_node_id(node->node_id.str()) == node->node_id, "an id is one form");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const std::string text = bytes.rest();
  fuzz::is_allowed([&] {
    const LineageLine record = parse_lineage_line(text);
    check_names(record);
    const std::string line = lineage_line(record);
    fuzz::require(parse_lineage_line(line) == record, "there and back: " + line);
    fuzz::require(lineage_line(record) == line, "one form");
  });
  fuzz::is_allowed([&] { (void)parse_node_id_or(NodeKind::Dataset, text); });
  const NodeId experiment = experiment_node_id(text, text);
  fuzz::require(parse_node_id(experiment.str()) == experiment, "every experiment has an id");
  return 0;
}
