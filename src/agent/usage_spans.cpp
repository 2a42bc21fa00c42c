// usage_spans.cpp - adds samples, condenses them, and reads a window.
#include "agent/usage_spans.hpp"

#include <algorithm>

namespace finops::agent {
namespace {

constexpr Nanoseconds kLongestWindow = std::chrono::hours{24};
// What is left of a day when every span lasts up to half of its age.
constexpr std::size_t kSmallestLimit = 40;
constexpr std::size_t kMaximumDevices = 4'096;
// A window begins inside a span that lasts a 32nd of it at most, unless space is short. A day of
// samples every ten seconds then takes about 32 x ln(8640 / 32) + 32, or 200 spans.
constexpr int kFinestPart = 32;

// Nine tenths of `whole`: what counts as known throughout.
bool is_most(std::int64_t part, std::int64_t whole) { return part > 0 && part * 10 >= whole * 9; }

}  // namespace

void UsageSpans::add(const UsageSample& sample, std::size_t limit) {
  // MIG instances may come and go for ever: a run that has met too many begins anew.
  if (devices_.size() + sample.gpus.size() > kMaximumDevices) {
    spans_.clear();
    devices_.clear();
  }
  Span span{.first = sample.at,
            .last = sample.at,
            .sample_count = 1,
            .blind_count = sample.may_miss_gpus ? 1 : 0,
            .maximum_cpu_use = sample.cpu_use,
            .gpus = {}};
  for (const GpuUseSample& gpu : sample.gpus) {
    span.gpus.push_back({.device = device_of(gpu.uuid),
                         .has_process = gpu.has_process,
                         .sample_count = 1,
                         .utilization_count = gpu.utilization.has_value() ? 1 : 0,
                         .power_count = gpu.power_share.has_value() ? 1 : 0,
                         .minimum_utilization = gpu.utilization.value_or(0),
                         .maximum_utilization = gpu.utilization.value_or(0),
                         .power_share_sum = gpu.power_share.value_or(0)});
  }
  spans_.push_back(std::move(span));
  const auto is_old = [&](const Span& old) { return sample.at - old.last > kLongestWindow; };
  spans_.erase(spans_.begin(), std::ranges::find_if_not(spans_, is_old));
  condense(std::max(limit, kSmallestLimit));
}

// Merges neighbours to spans that last no more than a part of their age, so that a window's start
// is met as exactly, in relation to its length, however long ago it is. The part grows until it
// fits.
void UsageSpans::condense(std::size_t limit) {
  for (int part = kFinestPart; spans_.size() > limit && part > 1; part /= 2) {
    const BootTime newest = spans_.back().last;
    std::size_t kept = 0;
    for (std::size_t next = 1; next < spans_.size(); ++next) {
      const Span& earlier = spans_[kept];
      if (spans_[next].last - earlier.first <= (newest - earlier.first) / part) {
        merge(spans_[next], spans_[kept]);
      } else if (++kept != next) {
        spans_[kept] = std::move(spans_[next]);
      }
    }
    spans_.resize(kept + 1);
  }
}

void UsageSpans::merge(const Span& later, Span& earlier) {
  earlier.last = later.last;
  earlier.sample_count += later.sample_count;
  earlier.blind_count += later.blind_count;
  earlier.maximum_cpu_use = std::max(earlier.maximum_cpu_use, later.maximum_cpu_use);
  for (const GpuSpan& gpu : later.gpus) {
    const auto known = std::ranges::find(earlier.gpus, gpu.device, &GpuSpan::device);
    if (known == earlier.gpus.end()) {
      earlier.gpus.push_back(gpu);
    } else {
      merge(gpu, *known);
    }
  }
}

void UsageSpans::merge(const GpuSpan& later, GpuSpan& earlier) {
  if (later.utilization_count > 0 && earlier.utilization_count > 0) {
    earlier.minimum_utilization = std::min(earlier.minimum_utilization, later.minimum_utilization);
    earlier.maximum_utilization = std::max(earlier.maximum_utilization, later.maximum_utilization);
  } else if (later.utilization_count > 0) {
    earlier.minimum_utilization = later.minimum_utilization;
    earlier.maximum_utilization = later.maximum_utilization;
  }
  earlier.has_process = later.has_process;
  earlier.sample_count += later.sample_count;
  earlier.utilization_count += later.utilization_count;
  earlier.power_count += later.power_count;
  earlier.power_share_sum += later.power_share_sum;
}

guard::UsageSummary UsageSpans::summary(Nanoseconds window, BootTime now) const {
  guard::UsageSummary summary;
  summary.asked = window;
  const BootTime start = now - window;
  const auto is_before = [&](const Span& span) { return span.last < start; };
  const auto first = std::ranges::find_if_not(spans_, is_before);
  if (first == spans_.end()) {
    return summary;
  }
  Span whole = *first;
  for (auto span = first + 1; span != spans_.end(); ++span) {
    merge(*span, whole);
  }
  summary.covered = whole.last - std::max(whole.first, start);
  summary.sample_count = whole.sample_count;
  summary.maximum_cpu_use = whole.maximum_cpu_use;
  summary.may_miss_gpus = whole.blind_count * 10 > whole.sample_count;
  const Span& newest = spans_.back();
  for (const GpuSpan& gpu : whole.gpus) {
    guard::GpuUsage usage = usage_of(gpu, devices_[gpu.device]);
    const auto now_held = std::ranges::find(newest.gpus, gpu.device, &GpuSpan::device);
    usage.has_process = now_held != newest.gpus.end() && now_held->has_process;
    summary.gpus.push_back(std::move(usage));
  }
  std::ranges::sort(summary.gpus, {}, &guard::GpuUsage::uuid);
  return summary;
}

guard::GpuUsage UsageSpans::usage_of(const GpuSpan& gpu, const std::string& uuid) {
  guard::GpuUsage usage;
  usage.uuid = uuid;
  usage.sample_count = gpu.sample_count;
  if (is_most(gpu.utilization_count, gpu.sample_count)) {
    usage.minimum_utilization = gpu.minimum_utilization;
    usage.maximum_utilization = gpu.maximum_utilization;
  }
  if (is_most(gpu.power_count, gpu.sample_count)) {
    usage.mean_power_share = gpu.power_share_sum / gpu.power_count;
  }
  return usage;
}

std::uint16_t UsageSpans::device_of(const std::string& uuid) {
  const auto known = std::ranges::find(devices_, uuid);
  if (known == devices_.end()) {
    devices_.push_back(uuid);
    return static_cast<std::uint16_t>(devices_.size() - 1);
  }
  return static_cast<std::uint16_t>(known - devices_.begin());
}

}  // namespace finops::agent
