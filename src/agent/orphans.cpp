// orphans.cpp - remembers descendants, finds what is left of the dead.
#include "agent/orphans.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <optional>

namespace finops::agent {
namespace {

// What is left of a run and holds no GPU for so long is not looked after any more.
constexpr Nanoseconds kLongestLook = std::chrono::hours{1};

bool contains(const std::vector<ProcessIdentity>& processes, pid_t pid) {
  return std::any_of(processes.begin(), processes.end(),
                     [pid](const ProcessIdentity& process) { return process.pid == pid; });
}

std::string describe(const OrphanStop& stop, const std::string& what) {
  std::string pids;
  for (const ProcessIdentity& target : stop.targets) {
    pids += (pids.empty() ? "" : ", ") + std::to_string(target.pid);
  }
  return "its process is gone, and what it started goes on and " + what + ": pid " + pids;
}

}  // namespace

void Orphans::observe(const std::vector<const pulse::PageInfo*>& living) {
  if (living.empty() && dead_.empty()) {
    remembered_.clear();
    return;
  }
  table_ = ProcessTable::read();
  const std::vector<pid_t> ancestors = table_.ancestors_of(getpid());
  spared_.clear();
  spared_.insert(getpid());
  spared_.insert(ancestors.begin(), ancestors.end());
  std::unordered_map<AttemptId, std::vector<ProcessIdentity>> remembered;
  for (const pulse::PageInfo* info : living) {
    // Who was seen below it once belongs to it, also after its parent has died or it has left the
    // session; and so does whatever that one started.
    std::vector<ProcessIdentity> known = std::move(remembered_[info->attempt_id]);
    std::erase_if(known, [&](const ProcessIdentity& process) { return !table_.has(process); });
    // The pid of an owner that is gone may be a stranger's by now: its children are none of ours.
    std::vector<pid_t> roots;
    if (table_.has(info->process)) {
      roots.push_back(info->process.pid);
    }
    for (const ProcessIdentity& process : known) {
      roots.push_back(process.pid);
    }
    for (ProcessIdentity& found : table_.descendants_of(roots)) {
      known.push_back(std::move(found));
    }
    spared_.insert(info->process.pid);
    for (const ProcessIdentity& process : known) {
      spared_.insert(process.pid);
    }
    remembered[info->attempt_id] = std::move(known);
  }
  remembered_ = std::move(remembered);
}

void Orphans::ended(const pulse::PageInfo& info, bool has_finished, const guard::Policy& policy) {
  const auto [entry, is_new] = dead_.try_emplace(info.attempt_id);
  if (is_new) {
    entry->second.owner = info.process;
    entry->second.has_finished = has_finished;
    entry->second.policy = policy;
    if (const auto known = remembered_.find(info.attempt_id); known != remembered_.end()) {
      entry->second.remembered = std::move(known->second);
      remembered_.erase(known);
    }
  }
}

std::vector<ProcessIdentity> Orphans::left_of(const Dead& dead,
                                              const std::vector<ProcessIdentity>& carriers) const {
  std::vector<ProcessIdentity> left;
  std::vector<pid_t> roots;
  const auto add = [&](const ProcessIdentity& process) {
    if (table_.has(process) && !spared_.contains(process.pid) && !contains(left, process.pid)) {
      left.push_back(process);
      roots.push_back(process.pid);
    }
  };
  std::for_each(dead.remembered.begin(), dead.remembered.end(), add);
  std::for_each(carriers.begin(), carriers.end(), add);
  const std::vector<ProcessIdentity> below = table_.descendants_of(roots);
  std::for_each(below.begin(), below.end(), add);
  return left;
}

std::vector<OrphanStop> Orphans::due(const std::optional<std::vector<GpuHolder>>& holders,
                                     BootTime now) {
  const std::vector<GpuHolder> known = holders.value_or(std::vector<GpuHolder>{});
  std::map<AttemptId, std::vector<ProcessIdentity>> carriers;
  for (const ProcessIdentity& process : table_.living()) {
    const AttemptId attempt_id{start_environment(process.pid, "FINOPS_ATTEMPT_ID").value_or("")};
    if (dead_.contains(attempt_id)) {
      carriers[attempt_id].push_back(process);
    }
  }
  std::vector<OrphanStop> stops;
  for (auto entry = dead_.begin(); entry != dead_.end();) {
    auto& [attempt_id, dead] = *entry;
    if (dead.first_looked_at == BootTime{}) {
      dead.first_looked_at = now;
    }
    const std::vector<ProcessIdentity> left = left_of(dead, carriers[attempt_id]);
    if (table_.has(dead.owner) || left.empty() || now - dead.first_looked_at > kLongestLook) {
      entry = dead_.erase(entry);
      continue;
    }
    OrphanStop stop{.attempt_id = attempt_id, .reason = {}, .targets = {}};
    for (const ProcessIdentity& process : left) {
      const bool holds = std::any_of(known.begin(), known.end(), [&](const GpuHolder& holder) {
        return holder.pid == process.pid;
      });
      const bool carries =
          !holders.has_value() && !dead.has_finished && contains(carriers[attempt_id], process.pid);
      if (holds || carries) {
        stop.targets.push_back(process);
      }
    }
    const bool is_over = dead.rung == Rung::Sigterm && !dead.policy.is_dry_run &&
                         now - dead.rung_since >= dead.policy.term_grace;
    if (!stop.targets.empty() && (dead.rung != Rung::Sigterm || is_over)) {
      stop.rung = dead.rung == Rung::Watch ? Rung::Sigterm : Rung::Sigkill;
      stop.is_repeat = dead.rung == Rung::Sigkill;
      stop.is_dry_run = dead.policy.is_dry_run;
      stop.reason =
          describe(stop, holders.has_value() ? "holds its GPU" : "carries its attempt id");
      stops.push_back(std::move(stop));
    }
    ++entry;
  }
  return stops;
}

void Orphans::signal(const OrphanStop& stop, BootTime now) {
  Dead& dead = dead_.at(stop.attempt_id);
  if (!stop.is_repeat) {
    dead.rung = stop.rung;
    dead.rung_since = now;
  }
  if (!stop.is_dry_run) {
    for (const ProcessIdentity& target : stop.targets) {
      PidFd(target).send_signal(stop.rung == Rung::Sigkill ? SIGKILL : SIGTERM);
    }
  }
}

}  // namespace finops::agent
