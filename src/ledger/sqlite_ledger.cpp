// sqlite_ledger.cpp - opening, transactions, and appending of plain records.
#include "ledger/sqlite_ledger.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "finops/base/durable.hpp"
#include "finops/base/planted.hpp"
#include "finops/base/private_file.hpp"
#include "ledger/audit.hpp"
#include "ledger/schema.hpp"

namespace finops::ledger {
namespace {

// Created here, so that no moment exists in which others could read it. An existing file is not
// opened: closing a descriptor of it would drop SQLite's locks in this process.
void create_ledger_file(const std::string& path) {
  const PrivateFile file = open_private_file(path, O_CREAT | O_EXCL | O_RDWR);
  if (file.is_open()) {
    close(file.descriptor);
    return;
  }
  FINOPS_REQUIRE(file.error_number == EEXIST, ErrorCode::LedgerUnavailable,
                 "cannot create the ledger " + file.why);
}

// Before the first commit, under the write lock: whoever created the file may have been killed, or
// be slower than us. The folders above may be as new (~/.local/state of a fresh user); where they
// belong to others and cannot be opened, they are not.
void make_name_durable(const std::string& path) {
  if (planted::is_on(planted::Bug::FolderNotSynced)) {
    return;
  }
  std::string folder = folder_of(path);
  FINOPS_REQUIRE(sync_folder(folder), ErrorCode::LedgerUnavailable,
                 "cannot sync the folder " + folder +
                     ", without which a power loss may take the "
                     "ledger's name: " +
                     errno_text(errno) + "; check the disk");
  while (folder != "/" && folder != ".") {
    folder = folder_of(folder);
    (void)sync_folder(folder);
  }
}

// SQLite follows what lies beside the file as well.
void check_ledger_files(const std::string& path) {
  struct stat info{};
  FINOPS_REQUIRE(lstat(path.c_str(), &info) == 0, ErrorCode::LedgerUnavailable,
                 "there is no ledger at " + path + ": nothing has been tracked yet");
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    const std::string name = path + suffix;
    if (lstat(name.c_str(), &info) == 0) {
      const std::string why = why_file_is_unsafe(info, name);
      FINOPS_REQUIRE(why.empty(), ErrorCode::PermissionDenied, "the ledger cannot be used: " + why);
    }
  }
}

void check_ledger_folder(const std::string& folder) {
  struct stat info{};
  FINOPS_REQUIRE(lstat(folder.c_str(), &info) == 0, ErrorCode::LedgerUnavailable,
                 "cannot examine the ledger's folder " + folder + ": " + errno_text(errno));
  const std::string why = why_folder_is_unsafe(info, folder);
  FINOPS_REQUIRE(why.empty(), ErrorCode::PermissionDenied,
                 "the ledger's folder cannot be used: " + why);
}

// One ledger has one path in a process: its write lock is known by it.
std::string real_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(folder_of(path), error);
  return error ? path : (folder / std::filesystem::path(path).filename()).string();
}

// The columns of `charges`, in their order. Texts of the charge outlive the step; the currency's
// does not.
void bind_charge(Statement& statement, const Charge& charge) {
  statement.bind_borrowed(charge.event_id.str());
  charge.attempt_id.empty() ? statement.bind_text_or_null({})
                            : statement.bind_borrowed(charge.attempt_id.str());
  statement.bind_borrowed(basis_name(charge.basis));
  statement.bind_borrowed(charge_category_name(charge.charge_category));
  statement.bind_text_or_null(charge.is_correction ? "Correction" : "");
  charge.price_id.empty() ? statement.bind_text_or_null({})
                          : statement.bind_borrowed(charge.price_id.str());
  statement << charge.consumed_time << charge.charge_period_start << charge.charge_period_end
            << charge.billed_cost.currency().str() << charge.billed_cost << charge.effective_cost;
}

}  // namespace

void require_known(Statement& same, const std::string& what) {
  same.step();
  FINOPS_REQUIRE(same.integer() == 1, ErrorCode::Conflict,
                 what + " exists with other content; a correction needs an id of its own");
}

SqliteLedger::SqliteLedger(const std::string& path, const LedgerOptions& options)
    : path_(real_path(path)), options_(options) {
  if (!options.read_only) {
    check_ledger_folder(folder_of(path_));
    create_ledger_file(path_);
  }
  check_ledger_files(path_);
  open_connection();
}

void SqliteLedger::open_schema() {
  const auto version_of_file = [this]() -> std::int64_t {
    Statement application = database_->prepare("PRAGMA application_id");
    application.step();
    const std::int64_t id = application.integer();
    Statement tables = database_->prepare("SELECT count(*) FROM sqlite_schema");
    tables.step();
    const bool is_empty = tables.integer() == 0;
    FINOPS_REQUIRE(is_empty || id == kApplicationId, ErrorCode::LedgerCorrupt,
                   path_ +
                       " is a database, but not a finops ledger; move it aside or set "
                       "FINOPS_HOME to another folder");
    Statement user = database_->prepare("PRAGMA user_version");
    user.step();
    const std::int64_t version = is_empty ? 0 : user.integer();
    FINOPS_REQUIRE(is_empty || version > 0, ErrorCode::LedgerCorrupt,
                   path_ + " has tables, and no schema of finops; nothing was written. Move it " +
                       "aside: a new one starts by itself");
    return version;
  };
  std::int64_t version = version_of_file();
  if (version < kSchemaVersion && !options_.read_only) {
    const WriteLock lock(path_ + ".lock", options_.busy_timeout);
    if (version_of_file() == 0) {
      database_->execute("PRAGMA journal_mode=WAL");
    }
    database_->execute("BEGIN IMMEDIATE");
    try {
      version = version_of_file();  // another process may have been first
      if (version == 0) {
        make_name_durable(path_);
      }
      if (version < kSchemaVersion) {
        upgrade_schema(*database_, version);
        version = kSchemaVersion;
      }
      database_->execute("COMMIT");
    } catch (...) {
      database_->roll_back();
      throw;
    }
  }
  FINOPS_REQUIRE(version != 0, ErrorCode::LedgerUnavailable,
                 "the ledger " + path_ + " is empty: nothing has been tracked yet");
  FINOPS_REQUIRE(version >= kSchemaVersion, ErrorCode::UnsupportedSchema,
                 path_ + " has schema " + std::to_string(version) + ", this finops writes " +
                     std::to_string(kSchemaVersion) +
                     "; it is upgraded by any command that writes, such as: finops guard --once");
  FINOPS_REQUIRE(version <= kSchemaVersion, ErrorCode::UnsupportedSchema,
                 path_ + " has schema " + std::to_string(version) + ", this finops knows " +
                     std::to_string(kSchemaVersion) +
                     "; nothing was changed. Install a newer "
                     "finops, or set FINOPS_HOME to another folder");
  check_schema(*database_, path_);
}

void SqliteLedger::commit() {
  try {
    database_->execute("COMMIT");
  } catch (const std::exception& error) {
    // A failed fsync may have lost pages that the kernel now calls clean: never retried.
    note_failed_sync();
    refusal_ = std::string("a commit failed: ") + error.what();
    throw;
  }
  if (database_->wal_frames() > options_.checkpoint_frames) {
    database_->checkpoint_passive();
    note_failed_sync();
  }
}

// One write among those of `together`: what it did is undone alone if it throws.
void SqliteLedger::write_inside(const std::function<void()>& body) {
  FINOPS_REQUIRE(refusal_.empty(), ErrorCode::LedgerUnavailable,
                 "the ledger is not written any more (" + refusal_ + ")");
  FINOPS_REQUIRE(broken_.empty(), ErrorCode::LedgerUnavailable,
                 "nothing more is written in this round: " + broken_);
  database_->execute("SAVEPOINT one");
  try {
    body();
  } catch (const InternalError& error) {
    refusal_ = error.what();
    throw;  // `together` rolls all of it back
  } catch (...) {
    if (database_->is_in_transaction()) {
      database_->execute("ROLLBACK TO one; RELEASE one");
    } else {
      broken_ = "the disk refused a write";  // SQLite undid the whole by itself
    }
    throw;
  }
  database_->execute("RELEASE one");
}

void SqliteLedger::together(const std::function<void()>& body) {
  const std::lock_guard<std::recursive_mutex> guard(mutex_);
  FINOPS_ASSERT(!is_together_);
  write([&] {
    is_together_ = true;
    broken_.clear();
    try {
      body();
    } catch (...) {
      is_together_ = false;
      throw;
    }
    is_together_ = false;
    FINOPS_REQUIRE(refusal_.empty() && broken_.empty(), ErrorCode::LedgerUnavailable,
                   "an error inside undid the whole: " + refusal_ + broken_);
  });
}

void SqliteLedger::write(const std::function<void()>& body) {
  Use use(*this);
  if (is_together_) {
    write_inside(body);
    return;
  }
  FINOPS_REQUIRE(!options_.read_only, ErrorCode::LedgerUnavailable,
                 "the ledger is open for reading only");
  FINOPS_REQUIRE(refusal_.empty(), ErrorCode::LedgerUnavailable,
                 "the ledger is not written any more (" + refusal_ +
                     "); check the disk, then run: finops ledger verify");
  use.step_out();  // it may take seconds, and a fork must not wait for it
  const WriteLock lock(path_ + ".lock", options_.busy_timeout);
  use.step_in();
  replace_log_after_failed_sync();
  database_->execute("BEGIN IMMEDIATE");
  try {
    body();
  } catch (const InternalError& error) {
    refusal_ = error.what();
    database_->roll_back();
    throw;
  } catch (...) {
    note_failed_sync();  // a long transaction writes to the log before its commit
    database_->roll_back();
    throw;
  }
  commit();
}

void SqliteLedger::add_run(const RunRecord& run) {
  FINOPS_REQUIRE(is_valid_id(run.run_id.str()), ErrorCode::InvalidArgument,
                 "not a run id: '" + run.run_id.str() + "'");
  write([&] {
    Statement insert = database_->prepare(
        "INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (run_id) DO NOTHING");
    insert << run.run_id.str() << run.project << run.experiment << run.name << run.user_name;
    insert.bind_text_or_null(run.parent_run_id.str()).bind_text_or_null(run.fork_of.str());
    insert << run.tags << run.created_at;
    insert.run();
    if (database_->changes() == 0) {
      Statement known =
          database_->prepare("SELECT project, experiment, parent_run_id FROM runs WHERE run_id=?");
      known << run.run_id.str();
      known.step();
      const std::string project = known.text();
      const std::string experiment = known.text();
      FINOPS_REQUIRE(project == run.project && experiment == run.experiment &&
                         known.text() == run.parent_run_id.str(),
                     ErrorCode::Conflict,
                     "run " + run.run_id.str() + " belongs to " + project + "/" + experiment +
                         ", not to " + run.project + "/" + run.experiment);
    }
  });
}

void SqliteLedger::open_account(const AttemptRecord& attempt) {
  std::optional<Money> held;
  std::optional<Money> charged;
  if (!attempt.price_id.empty()) {
    Statement price = database_->prepare(
        "SELECT currency, list_unit_price_units, list_unit_price_picos FROM prices WHERE "
        "price_id=?");
    price << attempt.price_id.str();
    FINOPS_REQUIRE(price.step(), ErrorCode::NotFound,
                   "price " + attempt.price_id.str() + " is not in the ledger");
    const Currency currency(price.text());
    charged = Money::zero(currency);
    require_burn_cap(attempt, Rate(price.money(currency), attempt.used_micro_gpus,
                                   attempt.block_micro_gpus));
  }
  if (!attempt.budget_chain.empty()) {
    FINOPS_REQUIRE(charged.has_value(), ErrorCode::UnpricedResource,
                   "attempt " + attempt.attempt_id.str() +
                       " has a budget but no price; give "
                       "price=, or set one with: finops prices set");
    held = charged;
  }
  Statement insert = database_->prepare(
      "INSERT INTO accounts (attempt_id, state, epoch, settled_ns, usage_count, held_units, "
      "held_picos, charged_units, charged_picos, is_exhausted) VALUES (?,'OPEN',1,0,0,?,?,?,?,0)");
  insert << attempt.attempt_id.str() << held << charged;
  insert.run();
}

AttemptRecord SqliteLedger::add_attempt(const AttemptRecord& attempt) {
  FINOPS_REQUIRE(is_file_safe(attempt.attempt_id.str()), ErrorCode::InvalidArgument,
                 "not an attempt id: '" + attempt.attempt_id.str() + "'");
  FINOPS_REQUIRE(is_possible_start(attempt.started_at.utc), ErrorCode::InvalidArgument,
                 "attempt " + attempt.attempt_id.str() + " cannot start before 1970 or after 2162");
  AttemptRecord stored = attempt;
  write([&] {
    if (std::optional<AttemptRecord> known = this->attempt(attempt.attempt_id)) {
      FINOPS_REQUIRE(known->run_id == attempt.run_id && known->price_id == attempt.price_id,
                     ErrorCode::Conflict,
                     "attempt " + attempt.attempt_id.str() + " exists with other content");
      stored = *known;
      return;
    }
    Statement count = database_->prepare(
        "SELECT (SELECT coalesce(max(attempt_number), 0) FROM attempts WHERE run_id=?1), "
        "coalesce(sum(c.state = 'OPEN'), 0) FROM attempts a JOIN accounts c "
        "USING (attempt_id) WHERE a.run_id=?1 AND a.attempt_id NOT IN (SELECT attempt_id FROM "
        "merged_attempts)");
    count << attempt.run_id.str();
    count.step();
    stored.attempt_number = static_cast<std::int32_t>(count.integer()) + 1;
    // Checked here, under the lock: of several that resume one run at once, one wins.
    FINOPS_REQUIRE(count.integer() == 0, ErrorCode::Conflict,
                   "run " + attempt.run_id.str() + " is still running: an attempt of it is open");
    Statement insert =
        database_->prepare("INSERT INTO attempts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert << attempt.attempt_id.str() << attempt.run_id.str() << stored.attempt_number
           << attempt.host << attempt.process.boot_id << std::int64_t{attempt.process.pid}
           << static_cast<std::int64_t>(attempt.process.start_ticks)
           << (attempt.entry_point == EntryPoint::Init ? "init" : "command") << attempt.command
           << attempt.resource;
    insert.bind_text_or_null(attempt.price_id.str());
    insert << attempt.used_micro_gpus << attempt.block_micro_gpus << attempt.is_long_running
           << attempt.long_running_reason << attempt.started_at.utc
           << attempt.started_at.boot.time_since_epoch()
           << attempt.started_at.monotonic.time_since_epoch();
    insert.run();
    for (std::size_t i = 0; i < attempt.budget_chain.size(); ++i) {
      Statement link = database_->prepare("INSERT INTO attempt_budgets VALUES (?,?,?)");
      link << attempt.attempt_id.str() << static_cast<std::int64_t>(i)
           << attempt.budget_chain[i].str();
      link.run();
    }
    open_account(stored);
  });
  return stored;
}

void SqliteLedger::add_price(const PriceRow& price) {
  write([&] {
    Statement insert = database_->prepare(
        "INSERT INTO prices VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "ON CONFLICT (price_id) DO NOTHING");
    insert << price.price_id.str() << price.sku_id << price.provider << price.region << price.zone
           << price.instance_type << price.gpu << price.gpu_count
           << pricing_category_name(price.pricing_category)
           << price.list_unit_price.currency().str() << price.list_unit_price << price.valid_from
           << price.valid_to << price.source << price.source_date << price.is_user_set;
    insert.run();
    if (database_->changes() == 0) {
      Statement known = database_->prepare(
          "SELECT currency, list_unit_price_units, list_unit_price_picos FROM prices "
          "WHERE price_id=?");
      known << price.price_id.str();
      known.step();
      const Currency currency(known.text());
      FINOPS_REQUIRE(known.money(currency) == price.list_unit_price, ErrorCode::Conflict,
                     "price " + price.price_id.str() + " exists with another amount");
    }
  });
}

void SqliteLedger::add_checkpoint(const CheckpointRecord& checkpoint) {
  write([&] {
    Statement insert = database_->prepare(
        "INSERT INTO checkpoints (attempt_id, sequence, run_id, step, path, confirmed_at_ns) "
        "VALUES (?,?,?,?,?,?) ON CONFLICT (attempt_id, sequence) DO NOTHING");
    insert << checkpoint.attempt_id.str() << checkpoint.sequence << checkpoint.run_id.str()
           << checkpoint.step << checkpoint.path << checkpoint.confirmed_at;
    insert.run();
    if (database_->changes() == 0) {
      Statement same = database_->prepare(
          "SELECT count(*) FROM checkpoints WHERE attempt_id=? AND sequence=? AND run_id=? AND "
          "step=? AND path=? AND confirmed_at_ns=?");
      same << checkpoint.attempt_id.str() << checkpoint.sequence << checkpoint.run_id.str()
           << checkpoint.step << checkpoint.path << checkpoint.confirmed_at;
      require_known(same, "checkpoint " + std::to_string(checkpoint.sequence) + " of attempt " +
                              checkpoint.attempt_id.str());
    }
  });
}

DecisionRecord SqliteLedger::add_decision(const DecisionRecord& decision) {
  DecisionRecord stored = decision;
  write([&] {
    if (stored.sequence == 0) {
      Statement last =
          database_->prepare("SELECT coalesce(max(sequence), 0) FROM decisions WHERE attempt_id=?");
      last << decision.attempt_id.str();
      last.step();
      stored.sequence = last.integer() + 1;
    }
    const auto bind = [&stored](Statement& statement) {
      statement << stored.attempt_id.str() << stored.sequence << directive_name(stored.directive)
                << rule_name(stored.rule) << rung_name(stored.rung) << stored.reason
                << stored.decided_by << stored.decided_at << stored.is_dry_run;
    };
    Statement insert = database_->prepare(
        "INSERT INTO decisions (attempt_id, sequence, directive, rule, rung, reason, decided_by, "
        "decided_at_ns, is_dry_run) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (attempt_id, sequence) "
        "DO "
        "NOTHING");
    bind(insert);
    insert.run();
    if (database_->changes() == 0) {
      Statement same = database_->prepare(
          "SELECT count(*) FROM decisions WHERE attempt_id=? AND sequence=? AND directive=? AND "
          "rule=? AND rung=? AND reason=? AND decided_by=? AND decided_at_ns=? AND is_dry_run=?");
      bind(same);
      require_known(same, "decision " + std::to_string(stored.sequence) + " of attempt " +
                              stored.attempt_id.str());
    } else {
      chain_record(*database_, AuditKind::Decision, stored.attempt_id.str(), stored.sequence);
    }
    notify_dry_run(stored);
  });
  return stored;
}

std::size_t SqliteLedger::append(std::span<const Charge> charges) {
  std::size_t added = 0;
  write([&] {
    Statement insert = database_->prepare(
        "INSERT INTO charges VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "ON CONFLICT (event_id) DO NOTHING");
    for (const Charge& charge : charges) {
      FINOPS_REQUIRE(charge.billed_cost.currency() == charge.effective_cost.currency(),
                     ErrorCode::CurrencyMismatch,
                     "charge " + charge.event_id.str() + " has costs in two currencies");
      insert.rewind();
      bind_charge(insert, charge);
      insert.run();
      if (database_->changes() == 1) {
        ++added;
        continue;
      }
      Statement same = database_->prepare(
          "SELECT count(*) FROM charges WHERE event_id=? AND attempt_id IS ? AND basis=? AND "
          "charge_category=? AND charge_class IS ? AND price_id IS ? AND consumed_time_ns=? AND "
          "charge_period_start_ns=? AND charge_period_end_ns=? AND currency=? AND "
          "billed_cost_units=? AND billed_cost_picos=? AND effective_cost_units=? AND "
          "effective_cost_picos=?");
      bind_charge(same, charge);
      require_known(same, "charge " + charge.event_id.str());
    }
  });
  return added;
}

}  // namespace finops::ledger

namespace finops {

std::string_view account_state_name(AccountState state) noexcept {
  switch (state) {
    case AccountState::OPEN: return "OPEN";
    case AccountState::SUSPECT: return "SUSPECT";
    case AccountState::SETTLED: break;
  }
  return "SETTLED";
}

std::unique_ptr<Ledger> open_ledger(const std::string& path, const LedgerOptions& options) {
  return std::make_unique<ledger::SqliteLedger>(path, options);
}

std::string ledger_engine_version() { return sqlite3_libversion(); }

}  // namespace finops
