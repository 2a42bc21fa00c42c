// feature_stream_keys.hpp - which jobs count as of one kind.
//
// Owns: KeyKind, JobKeys, keys_of, name_stem. Does not own: what is known of a key
// (key_statistics.hpp).
// Invariant: equal jobs have equal keys on every machine.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "finops/predict/job.hpp"

namespace finops::predict {

/// From the most specific to the broadest.
enum class KeyKind : std::uint8_t {
  Sibling,    ///< user, GPUs, requested time, name stem
  UserName,   ///< user and name stem
  UserGpus,   ///< user and GPUs
  UserQueue,  ///< user and queue
  User,
  GroupGpusRequest,  ///< group, GPUs, requested time
  Name,              ///< name stem, of all users
  Group,
};
inline constexpr std::size_t kKeyKindCount = 8;

/// Kinds whose jobs differ in GPUs count seconds in place of GPU-seconds, times the GPUs of the job
/// that asks.
[[nodiscard]] constexpr bool mixes_gpu_counts(KeyKind kind) noexcept {
  return kind == KeyKind::UserName || kind == KeyKind::UserQueue || kind == KeyKind::User ||
         kind == KeyKind::Name || kind == KeyKind::Group;
}

/// A hash of each kind's words; 0: the job does not say what the kind needs.
using JobKeys = std::array<std::uint64_t, kKeyKindCount>;
[[nodiscard]] JobKeys keys_of(const Job& job);

/// What stays the same when a job is submitted again: lower case, without counters, dates and
/// hashes: "SFT-Llama-7b_2026-01-05_run12" is "sft-llama-7b-run". Empty if nothing is left.
[[nodiscard]] std::string name_stem(std::string_view name);

}  // namespace finops::predict
