// model_file.hpp - a model as JSON text, and back.
//
// Owns: the format of a model file, its limits and its checksum. Does not own: files (callers read
// and write them), what a forecaster keeps beside its trees.
// Invariant: a text is read in full and passes check_model, or is refused; the memory that reading
// takes is a small multiple of the text's size.
#pragma once

#include <string>
#include <string_view>

#include "finops/predict/forest.hpp"

namespace finops::predict {

inline constexpr int kModelSchemaVersion = 1;
/// 8 outputs of 10,000 trees take about 40 MB.
inline constexpr std::size_t kMaxModelFileBytes = std::size_t{64} << 20;
/// Of a feature's or an output's name.
inline constexpr std::size_t kMaxModelNameBytes = 256;

/// One line of JSON. Equal models give equal texts.
/// Throws Error(InvalidArgument) if check_model refuses the model, or a name is longer than
/// kMaxModelNameBytes or no UTF-8.
[[nodiscard]] std::string model_to_json(const ForestModel& model);

/// The model of a text, however its fields are ordered and spaced.
/// Throws Error(UnsupportedSchema) if a newer finops wrote it; Error(InvalidArgument) if it is no
/// JSON, larger than kMaxModelFileBytes, has a field that is missing, unknown, twice or of another
/// kind, breaks a limit or rule of check_model, or if the checksum is not that of the content. (The
/// checksum is against damage; it does not prove who wrote the file.)
[[nodiscard]] ForestModel model_from_json(std::string_view json_text);

}  // namespace finops::predict
