// join.cpp - attaching to an attempt, or beginning the one attempt of a job.
#include "tracker/join.hpp"

#include <chrono>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>

#include "finops/base/error.hpp"
#include "finops/base/per_process.hpp"
#include "tracker/group_file.hpp"

namespace finops::tracker {
namespace {

constexpr Nanoseconds kPoll = std::chrono::milliseconds{10};
// How long other ranks leave it to local rank 0 to begin: it is the one that saves and reports.
constexpr Nanoseconds kFirstRankWait = std::chrono::seconds{1};
// A guard may need a round to settle the attempt that a restarted job left behind.
constexpr Nanoseconds kConflictWait = std::chrono::seconds{10};
constexpr std::size_t kLongestRunId = 100;  // leaves room for the attempt's part

// The pages of this process, so that several runs share one.
struct SharedPages {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<pulse::OwnPage>> pages;
};

SharedPages& shared_pages() { return per_process<SharedPages>(); }

std::shared_ptr<pulse::OwnPage> find_shared(const std::string& attempt_id) {
  SharedPages& shared = shared_pages();
  const std::lock_guard<std::mutex> guard(shared.mutex);
  const auto found = shared.pages.find(attempt_id);
  std::shared_ptr<pulse::OwnPage> page =
      found == shared.pages.end() ? nullptr : found->second.lock();
  return page != nullptr && page->is_owner() && page->try_add_user() ? page : nullptr;
}

// What an earlier attempt of the run cost and saved. The page is attached already: a ledger that
// cannot be read is a warning.
void read_history(BegunAttempt& begun, const Home& home) {
  try {
    const pulse::PageInfo& info = begun.page->info();
    const std::unique_ptr<Ledger> ledger = open_ledger(home.ledger_path(), {});
    begun.ledger_path = home.ledger_path();
    begun.resume_from = ledger->last_checkpoint(info.run_id);
    for (const AttemptSummary& attempt : ledger->attempts(info.run_id)) {
      if (attempt.attempt.attempt_id == info.attempt_id) {
        begun.attempt_number = attempt.attempt.attempt_number;
      } else if (attempt.metered_cost.has_value()) {
        begun.earlier_cost = begun.earlier_cost ? *begun.earlier_cost + *attempt.metered_cost
                                                : *attempt.metered_cost;
      }
    }
  } catch (const Error& error) {
    begun.warnings.push_back(std::string("the ledger cannot be read: ") + error.what());
  }
}

// Null: there is no such attempt, or it is over.
std::shared_ptr<pulse::OwnPage> attach_page(const Home& home, const AttemptId& attempt_id,
                                            bool only_if_alive) {
  try {
    const std::string path = pulse::page_path(home.live_path(), attempt_id);
    if (pulse::is_own_page(path)) {
      return find_shared(attempt_id.str());
    }
    std::shared_ptr<pulse::OwnPage> page =
        pulse::OwnPage::attach(home.live_path(), attempt_id, only_if_alive);
    page->add_user();
    return page;
  } catch (const Error&) {
    return nullptr;
  }
}

BegunAttempt attached_to(std::shared_ptr<pulse::OwnPage> page, const Home& home,
                         const RunOptions& options) {
  BegunAttempt begun;
  begun.is_attached = true;
  begun.home_path = home.path;
  begun.page = std::move(page);
  const pulse::PageInfo& info = begun.page->info();
  if (info.project != options.project || info.experiment != options.experiment) {
    begun.warnings.push_back((info.is_command ? "`finops run` started this as "
                                              : "another rank started this job as ") +
                             info.project + "/" + info.experiment + ", not as " + options.project +
                             "/" + options.experiment + "; its word counts");
  }
  read_history(begun, home);
  return begun;
}

std::string hash_text(std::string_view text) {
  // FNV-1a, 64 bits, and the last steps of MurmurHash3 to spread it; both in the public domain.
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdU;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53U;
  hash ^= hash >> 33;
  static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  std::string id;
  for (int i = 0; i < 12; ++i, hash >>= 5) {
    id.push_back(kAlphabet[hash & 31U]);
  }
  return id;
}

// The run's id on every host of the job. Job names repeat (torchrun's default is "none"), so the
// experiment is in it, and where one host is all there is, every start is a run of its own.
RunId wanted_run_id(const detect::Job& job, const RunOptions& options) {
  if (!job.run_id.empty()) {
    FINOPS_REQUIRE(is_file_safe(job.run_id) && job.run_id.size() <= kLongestRunId,
                   ErrorCode::InvalidArgument,
                   "FINOPS_RUN_ID is no run id: '" + job.run_id.substr(0, 40) +
                       "'; use up to 100 of A-Z, a-z, 0-9 and . _ : @ + -");
    return RunId{job.run_id};
  }
  if (!job.is_on_several_hosts) {
    return {};
  }
  return RunId{hash_text(job.key + "\n" + options.project + "\n" + options.experiment + "\n" +
                         options.name)};
}

// A rank that could not come to its job's attempt: it trains on, and is not charged.
BegunAttempt go_on_without_reporting(const RunOptions& options,
                                     const detect::Environment& environment,
                                     const std::string& why) {
  pulse::PageInfo info;
  info.run_id = new_run_id();
  info.attempt_id = new_attempt_id(info.run_id);
  info.project = options.project;
  info.experiment = options.experiment;
  info.name = options.name;
  info.user_name = environment.user_name;
  info.host = environment.host;
  info.process = current_process();
  info.started_at = SystemClock{}.now();
  info.max_duration = options.max_duration.value_or(Nanoseconds::zero());
  info.lease_term = options.lease_terms.term;
  info.check_gap = options.lease_terms.check_gap;
  info.stop_time = options.lease_terms.stop_time;
  info.billing_quantum = options.lease_terms.billing_quantum;
  BegunAttempt begun;
  begun.page = pulse::OwnPage::in_memory(info);
  begun.page->add_user();
  begun.is_attached = true;
  begun.warnings.push_back(
      "this rank goes on without reporting, so that its job is not charged "
      "twice: " +
      why);
  return begun;
}

class Joining {
 public:
  Joining(const RunOptions& options, const detect::Environment& environment, Home home)
      : options_(options),
        environment_(environment),
        home_(std::move(home)),
        name_(hash_text(environment.job.key)),
        run_id_(wanted_run_id(environment.job, options)),
        file_(home_.live_path(), name_) {}

  BegunAttempt run() {
    while (waited() < options_.longest_rank_wait) {
      try {
        if (!file_.try_lock()) {
          std::this_thread::sleep_for(kPoll);
          continue;
        }
        file_.reserve();
      } catch (const Error& error) {
        // Without the file nobody knows who begins. Spending fails closed, observation open.
        if (!options_.fail_open || (options_.budget && options_.is_hard_budget)) {
          throw;
        }
        return go_on_without_reporting(options_, environment_, error.what());
      }
      if (std::optional<BegunAttempt> begun = attach_or_begin()) {
        return std::move(*begun);
      }
      file_.unlock();
      std::this_thread::sleep_for(kPoll);
    }
    return go_on_without_reporting(
        options_, environment_,
        "the rank that begins the attempt has not done so in " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waited()).count()) +
            " s; see whether it hangs");
  }

 private:
  [[nodiscard]] Nanoseconds waited() const { return std::chrono::steady_clock::now() - began_; }

  // Nothing: not yet. Holds the file's lock.
  std::optional<BegunAttempt> attach_or_begin() {
    if (const AttemptId known = file_.read(); !known.empty()) {
      if (std::shared_ptr<pulse::OwnPage> page = attach_page(home_, known, true)) {
        const bool is_ending = page->page().process.state.load(std::memory_order_acquire) !=
                               pulse::ProcessState::Running;
        if (is_ending) {
          page->drop_user();
          return std::nullopt;  // its last rank is settling it
        }
        BegunAttempt begun = attached_to(std::move(page), home_, options_);
        begun.group_name = name_;
        return begun;
      }
    }
    const bool is_another_first = environment_.job.local_rank > 0 && waited() < kFirstRankWait;
    return is_another_first ? std::nullopt : try_begin();
  }

  std::optional<BegunAttempt> try_begin() {
    try {
      BegunAttempt begun = begin(options_, false, run_id_);
      begun.is_group = true;
      begun.group_name = name_;
      if (begun.page->is_on_disk()) {
        file_.write(begun.page->info().attempt_id);
      }
      remove_old_group_files(home_.live_path());
      return begun;
    } catch (const Error& error) {
      // The run's last attempt is not settled yet: the job was restarted.
      const bool may_pass = error.code() == ErrorCode::Conflict && !run_id_.empty();
      if (may_pass && waited() < std::min(kConflictWait, options_.longest_rank_wait)) {
        return std::nullopt;
      }
      if (may_pass && environment_.job.run_id.empty()) {
        run_id_ = RunId{};  // nobody chose that id: a run of its own keeps the cost right
        return try_begin();
      }
      throw;
    }
  }

  const RunOptions& options_;
  const detect::Environment& environment_;
  Home home_;
  std::string name_;
  RunId run_id_;
  GroupFile file_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace

void share_page(const std::shared_ptr<pulse::OwnPage>& page) {
  SharedPages& shared = shared_pages();
  const std::lock_guard<std::mutex> guard(shared.mutex);
  std::erase_if(shared.pages, [](const auto& item) { return item.second.expired(); });
  shared.pages[page->info().attempt_id.str()] = page;
}

std::optional<BegunAttempt> attach(const RunOptions& options,
                                   const detect::Environment& environment) {
  if (environment.attempt_id.empty()) {
    return std::nullopt;
  }
  try {
    const Home home = open_home(options.home);
    std::shared_ptr<pulse::OwnPage> page =
        attach_page(home, AttemptId{environment.attempt_id}, false);
    if (page != nullptr) {
      return attached_to(std::move(page), home, options);
    }
  } catch (const Error&) {
    // Beginning an attempt meets the same home, and says what is wrong with it.
  }
  return std::nullopt;  // a stale variable: the attempt it names is over
}

BegunAttempt join(const RunOptions& options, const detect::Environment& environment) {
  check_options(options);
  (void)wanted_run_id(environment.job, options);
  std::optional<Home> home;
  try {
    home = open_home(options.home);
  } catch (const Error&) {
    return begin(options, false);  // without a home nobody is charged; it says what is wrong
  }
  return Joining(options, environment, std::move(*home)).run();
}

}  // namespace finops::tracker
