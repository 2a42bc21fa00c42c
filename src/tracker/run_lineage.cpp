// run_lineage.cpp - what a run read, made and serves, in the ledger or on its way there.
#include <algorithm>

#include "finops/base/error.hpp"
#include "finops/tracker/run.hpp"
#include "tracker/lineage_backlog.hpp"

namespace finops {
namespace {

constexpr Nanoseconds kTimeout = std::chrono::seconds{1};
constexpr Nanoseconds kExitTimeout = std::chrono::milliseconds{500};
constexpr Nanoseconds kExitTime = std::chrono::seconds{5};  // the rest waits in a file
constexpr std::size_t kMostUnwritten = 10'000;  // a loop that reads for ever must not fill memory

LineageEdge edge_of(NodeId subject, EdgeKind kind, NodeId object,
                    std::optional<std::int64_t> step = std::nullopt) {
  LineageEdge edge{std::move(subject), kind, std::move(object), step, SystemClock{}.now().utc};
  require_valid(edge);
  require_sensible(edge);
  return edge;
}

}  // namespace

void Run::used(const std::string& what, std::optional<std::int64_t> step) {
  record_lineage({edge_of(run_node_id(run_id()), EdgeKind::Read,
                          parse_node_id_or(NodeKind::Dataset, what), step)});
}

void Run::produced(const std::string& what, std::optional<std::int64_t> step) {
  record_lineage({edge_of(run_node_id(run_id()), EdgeKind::Produced,
                          parse_node_id_or(NodeKind::Model, what), step)});
}

void Run::deployed(const std::string& model, const std::string& endpoint) {
  const NodeId endpoint_id = parse_node_id_or(NodeKind::Endpoint, endpoint);
  record_lineage({edge_of(parse_node_id_or(NodeKind::Model, model), EdgeKind::DeployedAs,
                          endpoint_id),
                  edge_of(run_node_id(run_id()), EdgeKind::Produced, endpoint_id)});
}

void Run::record_lineage(std::vector<LineageEdge> edges) {
  if (!is_owner()) {
    return;
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  if (!is_owner()) {
    return;  // another thread has finished meanwhile
  }
  LineageRecords records;
  records.edges = std::move(edges);
  try {
    FINOPS_REQUIRE(!home_path_.empty(), ErrorCode::LedgerUnavailable,
                   "there is no ledger; see the run's warnings");
    const std::unique_ptr<Ledger> ledger =
        open_ledger(home_path_ + "/ledger.db", {.busy_timeout = kTimeout});
    write_lineage(*ledger, tracker::kLineageTime);
    ledger->add_lineage(records);
  } catch (const std::exception& error) {
    if (tracker::is_refusal(error) || !fail_open_) {
      throw;
    }
    warn(std::string("what the run read and made waits in memory for the ledger: ") + error.what());
    for (LineageEdge& edge : records.edges) {
      if (unwritten_lineage_.size() < kMostUnwritten) {
        unwritten_lineage_.push_back(std::move(edge));
      } else if (++lost_count_ == 1) {
        first_lost_ = sentence(edge);
      }
    }
  }
}

// Throws if the ledger cannot take them now; what it refuses for good is a warning.
void Run::write_lineage(Ledger& ledger, Nanoseconds most_time) {
  tracker::write_waiting(ledger, unwritten_lineage_, most_time, [this](const std::string& refusal) {
    if (!warn(refusal) && ++untold_refusal_count_ == 1) {
      untold_refusal_ = refusal;
    }
  });
}

// The last chance: the ledger, else a file for the next start.
void Run::leave_lineage() {
  if (unwritten_lineage_.empty()) {
    return;
  }
  try {
    FINOPS_REQUIRE(!home_path_.empty(), ErrorCode::LedgerUnavailable, "there is no home");
    write_lineage(*open_ledger(home_path_ + "/ledger.db", {.busy_timeout = kExitTimeout}),
                  kExitTime);
  } catch (const std::exception& error) {
    warn(error.what());
  }
  if (unwritten_lineage_.empty()) {
    return;
  }
  try {
    FINOPS_REQUIRE(!home_path_.empty(), ErrorCode::SystemFailure, "there is no home");
    tracker::leave_for_next_start(home_path_, unwritten_lineage_);
    warn("what the run read and made is kept in " + home_path_ + " for the next start");
  } catch (const std::exception& error) {
    std::string lost;
    for (const LineageEdge& edge : unwritten_lineage_) {
      lost += (lost.empty() ? "" : "; ") + sentence(edge);
    }
    // Kept however many warnings there are: nobody else knows of these.
    warnings_.push_back("lost, for the ledger cannot be had (" + std::string(error.what()) +
                        "): " + lost);
  }
  unwritten_lineage_.clear();
}

}  // namespace finops
