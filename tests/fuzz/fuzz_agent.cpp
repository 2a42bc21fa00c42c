// fuzz_agent.cpp - a real agent looks at live folders with pages that say anything.
//
// Invariants: a round ends, and never in anything but a report; a good page beside the hostile one
// is served in the same round; the ledger stays whole. The agent may decide to signal whomever a
// page names: this process is not able to (no_signals).
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <memory>

#include "finops/agent/agent.hpp"
#include "pages.hpp"

namespace {

using namespace finops;  // NOLINT(google-build-using-namespace): a target, not a library

/// From here on pidfd_send_signal fails with EPERM in this process, as for another user's.
void no_signals() {
  std::array<sock_filter, 4> filter{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},  // the number of the call
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_pidfd_send_signal},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  fuzz::require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
                "signals can be forbidden");
}

/// A child that holds the locks of two pages: whatever is written into them, they are alive. Their
/// files lie beside the live folder and are moved into it for a round.
class Holder {
 public:
  explicit Holder(const std::string& folder) : folder_(folder) { start(); }
  ~Holder() { stop(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  /// The file of page `index`, whole again if the agent removed it.
  std::string file(int index) {
    if (access(path(index).c_str(), F_OK) != 0) {
      stop();
      start();
    }
    return path(index);
  }

 private:
  [[nodiscard]] std::string path(int index) const {
    return folder_ + "/held" + std::to_string(index);
  }
  void start() {
    int ends[2] = {-1, -1};
    fuzz::require(pipe(ends) == 0, "pipe");
    for (int index = 0; index < 2; ++index) {
      fuzz::write_private_file(path(index), std::string(pulse::kPageSize, '\0'));
    }
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (int index = 0; index < 2; ++index) {
        struct flock lock{};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_len = 1;
        fcntl(open(path(index).c_str(), O_RDWR), F_SETLK, &lock);
      }
      (void)!write(ends[1], "r", 1);
      for (;;) {
        pause();
      }
    }
    char byte = 0;
    fuzz::require(read(ends[0], &byte, 1) == 1, "the holder is there");
    close(ends[0]);
    close(ends[1]);
  }
  void stop() const {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::string folder_;
  pid_t pid_ = -1;
};

/// A home whose ledger has the budget that pages may name.
Home make_home(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
  Home home = open_home(path);
  BudgetRecord budget;
  budget.budget_id = BudgetId{"experiment:vision/resnet"};
  budget.created_by = "ada";
  BudgetTerms terms;
  terms.limit = Money::parse("1000 USD");
  open_ledger(home.ledger_path(), {})->ensure_budget(budget, terms);
  return home;
}

struct World {
  fuzz::TempFolder folder;
  Home home = make_home(folder / "home");
  Holder holder{folder.path()};
  ManualClock clock{{.utc = UtcTime{std::chrono::seconds{1'764'000'000}},
                     .boot = BootTime{std::chrono::seconds{900'000}},
                     .monotonic = MonotonicTime{std::chrono::seconds{890'000}}}};
};

void put(const std::string& path, const pulse::PageLayout& page) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  fuzz::require(pwrite(descriptor, &page, sizeof page, 0) == sizeof page, "writing " + path);
  close(descriptor);
}

pulse::PageInfo good_info(const ClockReading& now, const std::string& id) {
  pulse::PageInfo info;
  info.run_id = RunId{id};
  info.attempt_id = AttemptId{id};
  info.project = "vision";
  info.experiment = "resnet";
  info.process = current_process();
  info.started_at = now;
  info.lease_term = std::chrono::seconds{60};
  return info;
}

agent::AgentOptions options_of(fuzz::Bytes& bytes, const Home& home) {
  agent::AgentOptions options;
  options.home = home;
  options.policies.base.silence_limit = std::chrono::seconds{1 + bytes.byte()};
  options.policies.base.directive_grace = std::chrono::seconds{1 + bytes.byte()};
  options.policies.base.term_grace = std::chrono::seconds{1 + bytes.byte()};
  options.interval = std::chrono::seconds{1};
  options.overrides_breaker = bytes.chance();
  return options;
}

void rounds(fuzz::Bytes& bytes, World& world, const std::string& good_path) {
  agent::Agent agent(options_of(bytes, world.home), world.clock);
  fuzz::require(agent.try_serve(), "the agent serves");
  for (int round = 0; round < 4; ++round) {
    world.clock.advance(std::chrono::seconds{bytes.byte()});
    const agent::TickReport report = agent.tick();
    const std::string page = fuzz::read_file(good_path);
    pulse::AgentLine line{};
    std::memcpy(static_cast<void*>(&line), page.data() + offsetof(pulse::PageLayout, agent),
                sizeof line);
    std::string what = "the good page is served";
    for (const std::string& warning : report.warnings) {
      what += "; " + warning;
    }
    fuzz::require(line.back_by_boot_ns.load() > world.clock.now().boot.time_since_epoch().count(),
                  what);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World& world = *[] {
    auto* made = new World;  // NOLINT(cppcoreguidelines-owning-memory): for the process's life
    no_signals();
    return made;
  }();
  static int count = 0;
  if (++count % 64 == 0) {  // a ledger that grew would make each round slower
    world.home = make_home(world.home.path);
  }
  fuzz::Bytes bytes(data, size);
  const bool is_alive = bytes.chance();
  const std::string live = world.home.live_path() + "/";
  const std::string id = "run" + std::to_string(count);
  const std::string good_path = live + id + "-good.page";
  const std::string hostile_path = live + id + "-1.page";

  const auto good = std::make_unique<pulse::PageLayout>();
  pulse::encode(good_info(world.clock.now(), id + "-good"), good->fixed);
  good->process.state = pulse::ProcessState::Running;
  std::filesystem::rename(world.holder.file(0), good_path);
  put(good_path, *good);
  const auto hostile = std::make_unique<pulse::PageLayout>();
  fuzz::fill_page(bytes, id + "-1", *hostile);
  if (is_alive) {
    std::filesystem::rename(world.holder.file(1), hostile_path);
  }
  put(hostile_path, *hostile);

  rounds(bytes, world, good_path);

  for (const auto& [from, to] : {std::pair(good_path, std::string("/held0")),
                                 std::pair(hostile_path, std::string("/held1"))}) {
    if (is_alive || from == good_path) {
      std::error_code gone;
      std::filesystem::rename(from, world.folder.path() + to, gone);
    } else {
      unlink(from.c_str());
    }
  }
  return 0;
}
