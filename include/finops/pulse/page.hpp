// page.hpp - the live page: one 4 KiB file per attempt, shared between a run and the agent.
//
// Owns: the layout, PageInfo (the static part decoded), the views on the two live lines.
// Invariants: the static part is written once, before the page is visible, and has a checksum; the
// process line is written by the processes of the attempt, the agent line by the agent alone; every
// field means something by itself, so no lock and no seqlock: a writer killed half-way hangs
// nobody.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "finops/base/clock.hpp"
#include "finops/base/ids.hpp"
#include "finops/base/process.hpp"

namespace finops::pulse {

inline constexpr std::size_t kPageSize = 4096;
inline constexpr std::uint32_t kPageVersion = 2;
/// The oldest version that is still read: processes of an older finops may be running.
inline constexpr std::uint32_t kOldestPageVersion = 1;
inline constexpr std::size_t kLongText = 127;  ///< bytes in a project, experiment or name

/// What the process says of itself.
enum class ProcessState : std::uint32_t {
  Running = 1,
  Finished = 2,  ///< finish() was called: the page waits to be settled
  Paused = 3,    ///< ended to be resumed
  Failed = 4,
};

/// All that is needed to settle an attempt if the ledger was broken at its start.
struct PageInfo {
  RunId run_id;
  AttemptId attempt_id;
  std::string parent_run_id;
  std::string project;
  std::string experiment;
  std::string name;
  std::string user_name;
  std::string host;
  std::string resource;
  std::string price_id;   ///< empty: unpriced
  std::string budget_id;  ///< the lowest of the chain; empty: no budget
  std::string long_running_reason;
  std::string currency;          ///< of the price; empty: unpriced
  std::int64_t price_units = 0;  ///< per hour, with price_picos
  std::int64_t price_picos = 0;
  std::int64_t used_micro_gpus = 1;
  std::int64_t block_micro_gpus = 1;
  ProcessIdentity process;  ///< the process that holds the page's lock
  ClockReading started_at{};
  Nanoseconds silence_limit{};  ///< zero: the guard's default
  Nanoseconds max_duration{};   ///< of this attempt; zero: no limit. Not in pages of version 1
  Nanoseconds lease_term{};
  Nanoseconds check_gap{};
  Nanoseconds stop_time{};
  Nanoseconds billing_quantum{};
  bool is_command = false;  ///< made by `finops run` for a command that may never report
  bool is_long_running = false;
  bool is_hard_budget = true;
};

/// Written only by the processes of the attempt: all ranks of one host share it. One cache line.
struct alignas(64) ProcessLine {
  std::atomic<std::int64_t> step;
  std::atomic<std::uint64_t> progress_count;       ///< grows by the user's calls only
  std::atomic<std::int64_t> last_seen_ns;          ///< CLOCK_MONOTONIC_COARSE of the last hot call
  std::atomic<std::int64_t> silent_until_boot_ns;  ///< expect_silence: no judgement before
  std::atomic<ProcessState> state;
  std::atomic<std::uint32_t> reporter_pid;  ///< the process that keeps; 0: nobody has reported yet
  std::atomic<std::uint64_t> checkpoint_count;
  std::atomic<std::uint64_t> spare;
};

/// Written only by the agent. One cache line.
struct alignas(64) AgentLine {
  std::atomic<std::uint64_t> agent_epoch;     ///< 0: no agent has served this page
  std::atomic<std::int64_t> back_by_boot_ns;  ///< the agent's promise to look again until then
  std::atomic<std::int64_t> pause_at_ns;      ///< the lease, counted from the attempt's start
  std::atomic<std::int64_t> ends_at_ns;
  std::atomic<std::int64_t> alive_at_boot_ns;  ///< last time the process was proved alive
  std::atomic<std::uint32_t> directive;        ///< Directive, as a number
  std::atomic<std::uint32_t> rule;             ///< Rule, as a number
  std::atomic<std::uint64_t> measured_use;     ///< guard::Use, as a number; 0: not known
  std::atomic<std::uint64_t> spare;
};

/// What the ranks of an attempt agree on. One cache line; all zero in pages of version 1.
struct alignas(64) GroupLine {
  std::atomic<std::int64_t> ended_after_ns;  ///< start to finish(), CLOCK_BOOTTIME; 0: not said
  std::atomic<std::uint64_t>
      agent_told;  ///< AgreedWord, by the agent; 0: never written. Ranks settle it
  std::atomic<std::uint64_t> ranks_told;      ///< AgreedWord, by the ranks themselves
  std::atomic<std::int64_t> agent_act_by_ns;  ///< CLOCK_MONOTONIC: the step is late then
  std::atomic<std::int64_t> ranks_act_by_ns;
  std::atomic<std::int64_t> step_time_ns;  ///< of one step, as last measured; 0: not known
  std::atomic<std::uint32_t> rank_count;   ///< attached now; too high after a rank was killed
  std::atomic<ProcessState> worst_state;   ///< of the ranks that have finished; 0: none has
  std::atomic<std::uint64_t> spare;
};

static_assert(sizeof(ProcessLine) == 64 && sizeof(AgentLine) == 64 && sizeof(GroupLine) == 64);
static_assert(std::atomic<std::int64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// The last checkpoint that the process confirmed. Two slots, written in turn, each with a
/// checksum, so that a kill in the middle of writing one leaves the other.
struct CheckpointSlot {
  std::uint64_t count;
  std::int64_t step;
  std::int64_t confirmed_utc_ns;
  std::uint32_t checksum;
  std::uint32_t path_size;
  std::array<char, 700> path;
};

struct StaticPart {
  std::array<char, 2048> bytes;  // page_codec.cpp owns what is inside
};

/// The page as it lies in memory.
struct PageLayout {
  StaticPart fixed;
  ProcessLine process;
  AgentLine agent;
  std::array<char, 256> reason;          ///< written by the agent before the directive
  std::array<char, 128> silence_reason;  ///< written by the process before silent_until
  std::array<CheckpointSlot, 2> checkpoints;
  GroupLine group;
};
static_assert(sizeof(PageLayout) == kPageSize, "every byte has its place");

/// The longest checkpoint path that fits in a slot.
inline constexpr std::size_t kMaximumCheckpointPath = sizeof(CheckpointSlot::path);

/// Writes `info` into the static part. Throws Error(InvalidArgument) if a text is too long.
void encode(const PageInfo& info, StaticPart& part);

/// Reads the static part, of this version or of version 1, whose missing fields get their defaults.
/// Returns nullopt and the reason in `why` if it is damaged, of another version, or holds ids that
/// could not be ours; a page from outside is never trusted further.
[[nodiscard]] std::optional<PageInfo> decode(const StaticPart& part, std::string& why);

/// A confirmed checkpoint as the page holds it.
struct PageCheckpoint {
  std::uint64_t count = 0;
  std::int64_t step = 0;
  UtcTime confirmed_at{};
  std::string path;
};

/// Writes into the older slot. Throws Error(InvalidArgument) if the path is too long.
void write_checkpoint(PageLayout& page, const PageCheckpoint& checkpoint);

/// The newest whole slot; nullopt if there is none.
[[nodiscard]] std::optional<PageCheckpoint> read_checkpoint(const PageLayout& page);

/// Sets text, rule, the agreed word and the directive in this order, so that a reader of the
/// directive sees the reason. Where several ranks are attached, they act at one step, see agree();
/// `act_at_step` sets that step.
void write_directive(PageLayout& page, std::uint32_t directive, std::uint32_t rule,
                     std::string_view reason,
                     std::optional<std::int64_t> act_at_step = std::nullopt);

/// Sets the text alone, for ranks that tell each other where no agent looks.
void write_reason(PageLayout& page, std::string_view reason) noexcept;

/// Sets why a silence is expected. Cut to fit.
void write_silence_reason(PageLayout& page, std::string_view reason) noexcept;

/// The reason beside the directive, cut at its end mark. While it is being written it may be partly
/// the old one: it is for people.
[[nodiscard]] std::string read_reason(const PageLayout& page);

}  // namespace finops::pulse
