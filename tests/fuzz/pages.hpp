// pages.hpp - makes live pages out of fuzz input.
//
// Owns: fill_page and its parts. Does not own: the layout (finops/pulse/page.hpp), the checksum,
// which inputs have right so that they come past it (pulse/page_checksum.hpp).
#pragma once

#include "finops/pulse/page.hpp"
#include "fuzz.hpp"
#include "pulse/page_checksum.hpp"

namespace finops::fuzz {

/// Any page's fields: well-formed ids, and numbers and texts as the bytes say.
inline pulse::PageInfo info_of(Bytes& bytes, const std::string& attempt_id) {
  pulse::PageInfo info;
  info.run_id = RunId{bytes.chance() ? "run" : bytes.text(20)};
  info.attempt_id = AttemptId{attempt_id};
  info.project = bytes.chance() ? "vision" : bytes.text();
  info.experiment = bytes.chance() ? "resnet" : bytes.text();
  info.parent_run_id = bytes.chance() ? "" : bytes.text(20);
  info.user_name = bytes.text(20);
  info.resource = bytes.text(20);
  info.price_id = bytes.chance() ? "sku+1" : bytes.text(20);
  info.budget_id = bytes.chance() ? "" : "experiment:vision/resnet";
  info.currency = bytes.chance() ? "USD" : bytes.text(3);
  info.price_units = bytes.integer();
  info.price_picos = bytes.integer();
  info.used_micro_gpus = bytes.integer();
  info.block_micro_gpus = bytes.integer();
  info.process = {.boot_id = bytes.chance() ? current_boot_id() : bytes.text(36),
                  .pid = static_cast<pid_t>(bytes.integer()),
                  .start_ticks = static_cast<std::uint64_t>(bytes.integer())};
  info.started_at = {.utc = UtcTime{Nanoseconds{bytes.integer()}},
                     .boot = BootTime{Nanoseconds{bytes.integer()}},
                     .monotonic = MonotonicTime{Nanoseconds{bytes.integer()}}};
  for (Nanoseconds* span : {&info.silence_limit, &info.max_duration, &info.lease_term,
                            &info.check_gap, &info.stop_time, &info.billing_quantum}) {
    *span = Nanoseconds{bytes.integer()};
  }
  info.is_command = bytes.chance();
  info.is_long_running = bytes.chance();
  info.is_hard_budget = bytes.chance();
  return info;
}

/// The static part, by one of three ways: its fields, its payload under a right checksum, or raw.
inline void fill_fixed(Bytes& bytes, const std::string& attempt_id, pulse::StaticPart& part) {
  constexpr std::size_t kHeader = 24;
  const std::size_t way = bytes.choice(4);
  if (way < 2) {
    is_allowed([&] { pulse::encode(info_of(bytes, attempt_id), part); });
  } else if (way == 2) {
    const std::uint32_t version = bytes.chance() ? pulse::kPageVersion : pulse::kOldestPageVersion;
    const auto size =
        static_cast<std::uint32_t>(std::min({std::size_t{bytes.raw<std::uint16_t>()}, bytes.left(),
                                             part.bytes.size() - kHeader}));
    bytes.copy_to(part.bytes.data() + kHeader, size);
    const std::uint32_t sum = pulse::crc32(part.bytes.data() + kHeader, size);
    std::memcpy(part.bytes.data(), "FINOPSPG", 8);
    std::memcpy(part.bytes.data() + 8, &version, 4);
    std::memcpy(part.bytes.data() + 12, &size, 4);
    std::memcpy(part.bytes.data() + 16, &sum, 4);
  } else {
    bytes.copy_to(part.bytes.data(), part.bytes.size());
  }
}

/// The lines that live processes and agents write: any numbers.
inline void fill_lines(Bytes& bytes, pulse::PageLayout& page) {
  page.process.step = bytes.integer();
  page.process.progress_count = bytes.raw<std::uint64_t>();
  page.process.last_seen_ns = bytes.integer();
  page.process.silent_until_boot_ns = bytes.integer();
  page.process.state = static_cast<pulse::ProcessState>(bytes.byte() % 6);
  page.process.reporter_pid = bytes.raw<std::uint32_t>();
  page.process.checkpoint_count = bytes.raw<std::uint64_t>();
  page.agent.agent_epoch = bytes.raw<std::uint64_t>();
  page.agent.back_by_boot_ns = bytes.integer();
  page.agent.pause_at_ns = bytes.integer();
  page.agent.ends_at_ns = bytes.integer();
  page.agent.alive_at_boot_ns = bytes.integer();
  page.agent.directive = bytes.chance() ? bytes.byte() : bytes.raw<std::uint32_t>();
  page.agent.rule = bytes.raw<std::uint32_t>();
  page.group.ended_after_ns = bytes.integer();
  page.group.agent_told = static_cast<std::uint64_t>(bytes.integer());
  page.group.ranks_told = static_cast<std::uint64_t>(bytes.integer());
  page.group.agent_act_by_ns = bytes.integer();
  page.group.ranks_act_by_ns = bytes.integer();
  page.group.step_time_ns = bytes.integer();
  page.group.rank_count = bytes.raw<std::uint32_t>();
  page.group.worst_state = static_cast<pulse::ProcessState>(bytes.byte());
}

/// Checkpoints and texts.
inline void fill_rest(Bytes& bytes, pulse::PageLayout& page) {
  is_allowed([&] {
    if (bytes.chance()) {
      pulse::write_checkpoint(page, {.count = bytes.raw<std::uint64_t>(),
                                     .step = bytes.integer(),
                                     .confirmed_at = UtcTime{Nanoseconds{bytes.integer()}},
                                     .path = bytes.text()});
    }
  });
  const std::string text = bytes.text();
  std::fill(page.reason.begin(), page.reason.end(), 'x');
  std::copy(text.begin(), text.end(), page.reason.begin());
  if (!bytes.empty()) {
    bytes.copy_to(&page.checkpoints, sizeof page.checkpoints);
  }
}

inline void fill_page(Bytes& bytes, const std::string& attempt_id, pulse::PageLayout& page) {
  fill_fixed(bytes, attempt_id, page.fixed);
  fill_lines(bytes, page);
  fill_rest(bytes, page);
}

}  // namespace finops::fuzz
