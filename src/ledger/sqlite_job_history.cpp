// sqlite_job_history.cpp - runs as the jobs of a history: when, on how many GPUs, for how long.
//
// Owns: job_history and the count of an attempt's GPUs. Does not own: what is learned from it
// (predict), the grammar of resources (record), their prices (pricing).
// Invariants: one job for a run, whatever its attempts; sums are made in the order of attempts, so
// that equal ledgers give equal bits.
#include <algorithm>
#include <map>

#include "finops/record/resource.hpp"
#include "ledger/sqlite_ledger.hpp"

namespace finops::ledger {
namespace {

/// A machine by its folded name, from the prices of this ledger.
struct Machine {
  std::string gpu;
  std::int64_t gpu_count = 0;
};
using Machines = std::map<std::string, Machine>;

std::string fold(std::string_view text) {
  std::string folded(text);
  for (char& c : folded) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
  }
  return folded;
}

/// What a resource's text says; empty for what is none: then nobody knows how many GPUs it has.
std::optional<Resource> read_resource(const std::string& text) {
  try {
    return text.empty() ? std::nullopt : std::optional(parse_resource(text));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// One attempt of a job, as far as its GPUs go.
struct AttemptGpus {
  std::optional<double> count;
  std::string model;
};

/// What its price buys says how many GPUs an attempt has: `used` of a block of `block`, which is
/// `price_gpu_count` GPUs or that machine. A price of the whole (0) says nothing.
AttemptGpus gpus_of(const std::string& text, double share, std::int64_t price_gpu_count,
                    std::string price_gpu, std::int32_t forecast_gpu_count,
                    const Machines& machines) {
  const std::optional<Resource> resource = read_resource(text);
  const auto machine = machines.find(fold(resource.has_value() ? resource->name : text));
  AttemptGpus gpus{.count = {}, .model = std::move(price_gpu)};
  if (gpus.model.empty()) {
    gpus.model = machine != machines.end() ? machine->second.gpu
                 : resource.has_value()    ? resource->name
                                           : text;
  }
  if (price_gpu_count > 0) {
    gpus.count = share * static_cast<double>(price_gpu_count);
  } else if (forecast_gpu_count > 0) {
    gpus.count = forecast_gpu_count;
  } else if (resource.has_value()) {
    const std::int64_t each = machine == machines.end() ? 1 : machine->second.gpu_count;
    gpus.count = static_cast<double>(resource->micro_count) / static_cast<double>(kMicrosPerUnit) *
                 static_cast<double>(each);
  }
  return gpus;
}

Machines read_machines(Database& database) {
  Machines machines;
  Statement rows = database.prepare(
      "SELECT instance_type, gpu, gpu_count FROM prices WHERE instance_type <> '' AND gpu_count > "
      "0 ORDER BY price_id");
  while (rows.step()) {
    const std::string name = fold(rows.text());
    std::string gpu = rows.text();
    machines.insert_or_assign(name, Machine{std::move(gpu), rows.integer()});
  }
  return machines;
}

double to_seconds(Nanoseconds span) { return static_cast<double>(span.count()) / 1e9; }

/// What the rows of one run add up to.
class JobSum {
 public:
  explicit JobSum(const Machines& machines) : machines_(machines) {}

  /// Takes a row of the query below in, its run's id read already.
  void add(Statement& row);
  [[nodiscard]] LedgerJob result();
  LedgerJob job;

 private:
  void add_attempt(Statement& row, std::int32_t forecast_gpu_count);
  void add_cost(Statement& row, bool is_priced);

  const Machines& machines_;
  double gpu_seconds_ = 0;
  bool are_gpus_known_ = true;
  bool is_running_ = false;
  bool is_cost_known_ = true;
};

void JobSum::add(Statement& row) {
  job.project = row.text();
  job.experiment = row.text();
  job.name = row.text();
  job.user_name = row.text();
  const UtcTime created_at = row.utc();
  job.queue = row.text();
  std::string forecast_gpu_model = row.text();
  const std::int64_t forecast_gpu_count = row.integer();
  job.node_count = static_cast<std::int32_t>(std::clamp(row.integer(), std::int64_t{0},
                                                        std::int64_t{kMostGpus}));
  job.requested_seconds = row.optional_integer();
  job.planned_steps = row.optional_integer();
  if (job.attempt_count == 0) {
    job.submitted_at = created_at;
  }
  if (!row.next_is_null()) {  // it has an attempt
    add_attempt(row, static_cast<std::int32_t>(std::clamp(forecast_gpu_count, std::int64_t{0},
                                                          std::int64_t{kMostGpus})));
  }
  if (!forecast_gpu_model.empty()) {
    job.gpu_model = std::move(forecast_gpu_model);
  }
}

void JobSum::add_attempt(Statement& row, std::int32_t forecast_gpu_count) {
  const UtcTime started_at = row.utc();
  const std::string resource = row.text();
  const auto used = static_cast<double>(row.integer());
  const auto block = static_cast<double>(row.integer());
  const bool is_priced = row.boolean();
  const std::int64_t price_gpu_count = row.integer();
  std::string price_gpu = row.text();
  const Nanoseconds settled = row.nanoseconds();
  require_whole(is_possible_start(started_at) && settled >= Nanoseconds::zero() &&
                    settled <= kCentury && used > 0 && block > 0,
                "an attempt makes no sense", "run " + job.run_id.str());
  AttemptGpus gpus = gpus_of(resource, used / block, price_gpu_count, std::move(price_gpu),
                             forecast_gpu_count, machines_);
  job.resource = resource.empty() ? job.resource : resource;
  job.gpu_model = gpus.model.empty() ? job.gpu_model : std::move(gpus.model);
  job.gpu_count = gpus.count.has_value() ? gpus.count : job.gpu_count;
  are_gpus_known_ = are_gpus_known_ && gpus.count.has_value();
  job.run_seconds += to_seconds(settled);
  gpu_seconds_ += to_seconds(settled) * gpus.count.value_or(0);
  job.started_at = job.attempt_count == 0 ? started_at : std::min(job.started_at, started_at);
  const bool is_submit_known = job.submitted_at != UtcTime{};
  job.submitted_at = is_submit_known ? std::min(job.submitted_at, started_at) : job.started_at;
  ++job.attempt_count;
  add_cost(row, is_priced);
  if (row.next_is_null()) {
    is_running_ = true;
    return;
  }
  job.status = parse_run_status(row.text());
  job.reason = row.text();
  job.ended_at = std::max(job.ended_at, row.utc());
}

void JobSum::add_cost(Statement& row, bool is_priced) {
  if (!is_priced) {
    row.skip(3);
    is_cost_known_ = false;
    return;
  }
  const Currency currency(row.text());
  const Money charged = row.money(currency);
  if (job.metered_cost.has_value() && job.metered_cost->currency() != currency) {
    is_cost_known_ = false;
    return;
  }
  job.metered_cost = job.metered_cost.has_value() ? *job.metered_cost + charged : charged;
}

LedgerJob JobSum::result() {
  if (is_running_) {  // an attempt on another host may run beside the newest one
    job.status = RunStatus::RUNNING;
    job.reason.clear();
  }
  if (is_running_ || job.status == RunStatus::PAUSED) {
    job.ended_at = {};
  }
  if (!is_cost_known_) {
    job.metered_cost.reset();
  }
  if (are_gpus_known_) {
    job.gpu_seconds = gpu_seconds_;
  }
  return std::move(job);
}

}  // namespace

std::vector<LedgerJob> SqliteLedger::read_jobs(const RunId& run_id, UtcTime since) {
  const Machines machines = read_machines(*database_);
  std::vector<LedgerJob> jobs;
  std::optional<JobSum> sum;
  const auto finish = [&] {
    if (sum.has_value()) {
      jobs.push_back(sum->result());
    }
  };
  // Runs are asked for that may have ended since: which did is known once all attempts are read.
  Statement rows = database_->prepare(
      "SELECT r.run_id, r.project, r.experiment, r.name, r.user_name, r.created_at_ns, f.queue, "
      "f.gpu_model, f.gpu_count, f.node_count, f.requested_seconds, f.planned_steps, "
      "a.started_utc_ns, a.resource, coalesce(l.used_micro_gpus, a.used_micro_gpus), "
      "coalesce(l.block_micro_gpus, a.block_micro_gpus), p.price_id IS NOT NULL, p.gpu_count, "
      "p.gpu, c.settled_ns, p.currency, c.charged_units, c.charged_picos, e.status, e.reason, "
      "e.ended_at_ns FROM runs r LEFT JOIN attempts a USING (run_id) LEFT JOIN accounts c USING "
      "(attempt_id) LEFT JOIN attempt_prices l USING (attempt_id) LEFT JOIN prices p ON "
      "p.price_id = coalesce(l.price_id, a.price_id) LEFT JOIN attempt_ends e USING (attempt_id) "
      "LEFT JOIN forecasts f ON f.rowid = (SELECT g.rowid FROM forecasts g WHERE g.run_id = "
      "r.run_id ORDER BY g.kind = 'submitted' DESC, g.made_at_ns, g.event_id LIMIT 1) "
      "WHERE r.run_id IN (SELECT ?1 UNION ALL SELECT s.run_id FROM attempts s LEFT JOIN "
      "attempt_ends t USING (attempt_id) WHERE ?1 = '' AND (t.ended_at_ns IS NULL OR "
      "t.ended_at_ns >= ?2 OR t.status = 'PAUSED')) ORDER BY r.rowid, a.attempt_number");
  rows << run_id.str() << since;
  while (rows.step()) {
    RunId next{rows.text()};
    if (!sum.has_value() || sum->job.run_id != next) {
      finish();
      sum.emplace(machines);
      sum->job.run_id = std::move(next);
    }
    sum->add(rows);
  }
  finish();
  return jobs;
}

std::vector<LedgerJob> SqliteLedger::job_history(UtcTime since) {
  const Use use(*this);
  std::vector<LedgerJob> jobs = read_jobs({}, since);
  std::erase_if(jobs, [since](const LedgerJob& job) {
    return job.attempt_count == 0 || (job.ended_at != UtcTime{} && job.ended_at < since);
  });
  std::ranges::sort(jobs, [](const LedgerJob& a, const LedgerJob& b) {
    return std::tie(a.submitted_at, a.run_id) < std::tie(b.submitted_at, b.run_id);
  });
  return jobs;
}

}  // namespace finops::ledger
