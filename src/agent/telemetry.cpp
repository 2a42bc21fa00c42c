// telemetry.cpp - one look at processes and GPUs a round, and what it says of each run.
#include "finops/agent/telemetry.hpp"

#include <algorithm>
#include <utility>

#include "agent/run_gpus.hpp"
#include "agent/usage_spans.hpp"
#include "agent/usage_windows.hpp"
#include "finops/base/error.hpp"

namespace finops::agent {
namespace {

constexpr int kFreshRounds = 3;
// Two hours in detail at an interval of ten seconds.
constexpr std::size_t kSpansPerAttempt = 720;
// Shared by all attempts: with very many, each keeps less detail.
constexpr std::size_t kSpansInAll = 400'000;
// An attempt that nobody asked to sample for so long has ended without a word.
constexpr Nanoseconds kForgottenAfter = std::chrono::minutes{15};

detect::GpuWatcherOptions watcher_options(Nanoseconds interval) {
  detect::GpuWatcherOptions options;
  options.interval = interval;
  return options;
}

std::optional<double> power_share(const detect::GpuSample& gpu) {
  if (!gpu.power_watts.has_value() || gpu.power_limit_watts.value_or(0) <= 0) {
    return std::nullopt;
  }
  return *gpu.power_watts / *gpu.power_limit_watts;
}

}  // namespace

struct Telemetry::Attempt {
  detect::ProcessMeter meter;
  UsageSpans spans;
  std::optional<BootTime> looked_at;  // the round of its last look
  BootTime asked_at{};                // when its last sample was asked for
};

Telemetry::Telemetry(TelemetryOptions options)
    : Telemetry(options, std::make_unique<detect::GpuWatcher>(watcher_options(options.interval))) {}

Telemetry::Telemetry(TelemetryOptions options, std::unique_ptr<detect::GpuSource> gpu_source)
    : options_(options),
      gpu_source_(std::move(gpu_source)),
      windows_(std::make_unique<UsageWindows>(options.pending_limit)) {
  FINOPS_REQUIRE(options_.interval > Nanoseconds::zero(), ErrorCode::InvalidArgument,
                 "the interval of samples must be above zero");
}

Telemetry::~Telemetry() = default;

// Rounds may come a little early: an agent's rounds are never exactly apart.
void Telemetry::begin_round(ClockReading now) {
  if (round_.has_value() && now.boot - round_->boot < options_.interval * 9 / 10) {
    return;
  }
  gpu_source_->start();
  round_gap_ = round_.has_value() ? now.boot - round_->boot : Nanoseconds::zero();
  round_ = now;
  table_ = ProcessTable::read();
  reading_ = gpu_source_->latest();
}

// An agent may look less often than we would sample.
Nanoseconds Telemetry::longest_gap() const {
  return kFreshRounds * std::max(options_.interval, round_gap_);
}

void Telemetry::sample(const pulse::PageInfo& info, ClockReading now) {
  sample_ranks(info, {}, now);
}

void Telemetry::sample_ranks(const pulse::PageInfo& info, std::span<const pid_t> ranks,
                             ClockReading now) {
  const Nanoseconds gap_before = longest_gap();
  begin_round(now);
  std::unique_ptr<Attempt>& attempt = attempts_[info.attempt_id];
  if (attempt == nullptr) {
    attempt = std::make_unique<Attempt>();
  }
  attempt->asked_at = now.boot;
  if (attempt->looked_at == round_->boot) {
    return;
  }
  if (attempt->looked_at.has_value() && round_->boot - *attempt->looked_at > gap_before) {
    attempt->meter.restart();
    attempt->spans.clear();
  }
  attempt->looked_at = round_->boot;
  measure(info, ranks, *attempt);
}

void Telemetry::measure(const pulse::PageInfo& info, std::span<const pid_t> ranks,
                        Attempt& attempt) {
  const detect::ProcessUsage usage =
      attempt.meter.measure(table_, info.process, round_->boot, ranks);
  if (!usage.cpu_use.has_value()) {
    return;
  }
  UsageSample sample{.at = round_->boot,
                     .cpu_use = *usage.cpu_use,
                     .may_miss_gpus = reading_.sight == detect::GpuSight::Blind,
                     .gpus = {}};
  const AttemptId& id = info.attempt_id;
  windows_->add(id, round_->utc, Metric::CpuUse, "", *usage.cpu_use);
  windows_->add(id, round_->utc, Metric::Memory, "", static_cast<double>(usage.resident_bytes));
  for (const RunGpu& own : gpus_of(reading_.gpus, usage.pids, usage.root_count)) {
    const detect::GpuSample& gpu = *own.gpu;
    sample.gpus.push_back({.uuid = gpu.uuid,
                           .utilization = own.utilization,
                           .power_share = power_share(gpu),
                           .has_process = own.has_process});
    const auto add = [&](Metric metric, std::optional<double> value) {
      if (value.has_value()) {
        windows_->add(id, round_->utc, metric, gpu.uuid, *value);
      }
    };
    add(Metric::GpuUtilization, own.utilization);
    add(Metric::GpuMemory, gpu.memory_bytes);
    add(Metric::GpuPower, gpu.power_watts);
  }
  attempt.spans.add(sample, std::min(kSpansPerAttempt, kSpansInAll / attempts_.size()));
}

guard::UsageSummary Telemetry::summary(const AttemptId& attempt_id, Nanoseconds window,
                                       ClockReading now) const {
  const auto found = attempts_.find(attempt_id);
  const bool is_known = found != attempts_.end() && !found->second->spans.empty() &&
                        now.boot - found->second->spans.newest() <= longest_gap();
  if (!is_known) {
    guard::UsageSummary nothing;
    nothing.asked = window;
    return nothing;
  }
  return found->second->spans.summary(window, now.boot);
}

std::optional<std::vector<GpuHolder>> Telemetry::gpu_holders() const {
  std::optional<std::vector<GpuHolder>> holders;
  const detect::GpuReading reading = gpus();
  for (const detect::GpuSample& gpu : reading.gpus) {
    if (!gpu.processes.has_value()) {
      continue;
    }
    if (!holders.has_value()) {
      holders.emplace();
    }
    for (const detect::GpuProcess& process : *gpu.processes) {
      holders->push_back({.pid = process.pid, .uuid = gpu.uuid});
    }
  }
  return holders;
}

void Telemetry::flush(Ledger& ledger, ClockReading now) {
  flush_to([&ledger](std::span<const TelemetryWindow> windows) { ledger.add_telemetry(windows); },
           now);
}

void Telemetry::flush_to(const TelemetrySink& sink, ClockReading now) {
  std::vector<AttemptId> forgotten;
  for (const auto& [attempt_id, attempt] : attempts_) {
    if (now.boot - attempt->asked_at > kForgottenAfter) {
      forgotten.push_back(attempt_id);
    }
  }
  for (const AttemptId& attempt_id : forgotten) {
    end(attempt_id);
  }
  windows_->flush(sink, now.utc);
}

void Telemetry::end(const AttemptId& attempt_id) {
  windows_->close(attempt_id);
  attempts_.erase(attempt_id);
}

detect::GpuReading Telemetry::gpus() const {
  gpu_source_->start();
  return gpu_source_->latest();
}

}  // namespace finops::agent
