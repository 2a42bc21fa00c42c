// join.hpp - how the processes of one job on this host come to one attempt.
//
// Owns: attach, join. Does not own: beginning an attempt (begin.hpp), who belongs to a job
// (detect). Invariants: never a second attempt, and so never a second charge, of one job on one
// host; whoever dies in the middle holds up nobody.
#pragma once

#include <optional>

#include "finops/detect/environment.hpp"
#include "tracker/begin.hpp"

namespace finops::tracker {

/// Attaches to the attempt that `finops run` began, if the environment names one that is alive.
[[nodiscard]] std::optional<BegunAttempt> attach(const RunOptions& options,
                                                 const detect::Environment& environment);

/// Begins the attempt of a job on this host, or attaches to the one that another of its processes
/// began. The first to lock the job's small file in the live folder begins; who comes later waits,
/// at most options.longest_rank_wait, and then goes on without reporting.
/// Throws as Run::start does; Error(InvalidArgument) also for a FINOPS_RUN_ID that is no run id.
[[nodiscard]] BegunAttempt join(const RunOptions& options, const detect::Environment& environment);

/// Makes a page known to later runs of this process, which then share it.
void share_page(const std::shared_ptr<pulse::OwnPage>& page);

}  // namespace finops::tracker
