// intents.hpp - decisions that could not be written into the ledger, kept until they can be.
//
// Owns: IntentJournal: a preallocated file of fixed records beside the ledger, so that a full disk
// or a broken ledger makes no run unstoppable. Does not own: when to import (agent).
// Invariants: an intent is on the disk before it is acted on; one that is not imported yet is never
// overwritten; a record with a wrong checksum is free: it was written half-way, and nobody acted.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "finops/ledger/ledger.hpp"

namespace finops::agent {

class IntentJournal {
 public:
  static constexpr std::size_t kRecordSize = 1'024;
  static constexpr std::size_t kRecordCount = 1'024;

  explicit IntentJournal(std::string path) : path_(std::move(path)) {}
  ~IntentJournal();
  IntentJournal(const IntentJournal&) = delete;
  IntentJournal& operator=(const IntentJournal&) = delete;

  /// Makes the file in full if it is not there. Throws Error(SystemFailure) if it cannot.
  void prepare();

  /// Writes one intent durably, over the oldest imported ones. Texts are cut to fit.
  /// Throws Error(SystemFailure) if the journal is full of intents that wait or cannot be written.
  void append(const DecisionRecord& intent);

  /// What waits for its import, oldest first. Empty also if there is no journal.
  [[nodiscard]] std::vector<DecisionRecord> pending();

  /// Hands each waiting intent to `import`, oldest first, and marks those it gives back true for.
  /// Agents exclude each other: while another one imports, nothing happens. What `import` throws
  /// goes through; the intents before it are marked.
  void import_each(const std::function<bool(const DecisionRecord&)>& import);

 private:
  struct Slot;
  bool open_file();
  void create_file();
  /// Those in use; empty if they cannot be read.
  [[nodiscard]] std::optional<std::vector<Slot>> slots() const;
  [[nodiscard]] std::vector<Slot> waiting_slots() const;
  void write_slot(const Slot& slot) const;

  std::string path_;
  int descriptor_ = -1;
  bool is_name_durable_ = false;
};

/// Adds the decision unless the ledger has it already (same time, rung, rule and author): a crash
/// between an import and its mark must not double it.
void import_intent(Ledger& ledger, const DecisionRecord& intent);

}  // namespace finops::agent
