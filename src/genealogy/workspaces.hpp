// workspaces.hpp - walks' workspaces, lent out so that questions may be asked by many threads.
//
// Owns: WorkspacePool. Does not own: the walks (cost_graph.hpp).
// Invariant: a workspace is lent to one call at a time.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "finops/genealogy/cost_graph.hpp"

namespace finops::genealogy {

class WorkspacePool {
 public:
  class Lease {
   public:
    Lease(WorkspacePool& pool, std::unique_ptr<CostGraph::Workspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    ~Lease() { pool_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    [[nodiscard]] CostGraph::Workspace& operator*() const noexcept { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<CostGraph::Workspace> workspace_;
  };

  [[nodiscard]] Lease lend() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.reserve(++count_);  // so that giving back allocates nothing
      return {*this, std::make_unique<CostGraph::Workspace>()};
    }
    std::unique_ptr<CostGraph::Workspace> workspace = std::move(free_.back());
    free_.pop_back();
    return {*this, std::move(workspace)};
  }

 private:
  void give_back(std::unique_ptr<CostGraph::Workspace> workspace) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  std::mutex mutex_;
  std::size_t count_ = 0;
  std::vector<std::unique_ptr<CostGraph::Workspace>> free_;
};

}  // namespace finops::genealogy
