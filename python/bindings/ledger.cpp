// ledger.cpp - binds the ledger and the price book. The GIL is released around every call.
#include "finops/ledger/ledger.hpp"
#include "convert.hpp"
#include "finops/base/error.hpp"
#include "finops/ledger/home.hpp"
#include "finops/pricing/price_book.hpp"
#include "ledger_handle.hpp"
#include "release.hpp"

namespace finops::bindings {
namespace {

// Prices the attempts that ran without a price, where the book has one by now.
std::int64_t price_unpriced(const LedgerHandle& self, const PriceBook& book) {
  std::int64_t priced_count = 0;
  for (const UnpricedAttempt& unpriced : self->unpriced_attempts()) {
    if (unpriced.attempt.resource.empty()) {
      continue;
    }
    const Resource resource = parse_resource(unpriced.attempt.resource);
    std::optional<Quote> quote;
    try {
      quote = book.quote(resource, utc_now());
    } catch (const Error&) {
      continue;  // still unknown or ambiguous: it stays unpriced
    }
    if (quote.has_value()) {
      self->price_attempt(unpriced.attempt.attempt_id, quote->price, quote->used_micro_gpus,
                          quote->block_micro_gpus);
      ++priced_count;
    }
  }
  return priced_count;
}

void bind_price_book(py::module_& module) {
  py::class_<PriceBook>(module, "PriceBook", py::is_final())
      .def(py::init(&PriceBook::parse), py::arg("json_text"), py::arg("source_name"), Release())
      .def(
          "add_user_prices",
          [](PriceBook& book, const LedgerHandle& ledger) {
            for (const PriceRow& row : ledger->user_prices()) {
              book.add(row);
            }
          },
          py::arg("ledger"), Release())
      .def("rows", [](const PriceBook& book) { return book.rows(); })
      .def(
          "quote",
          [](const PriceBook& book, const std::string& resource) -> py::object {
            const std::optional<Quote> quote = book.quote(parse_resource(resource), utc_now());
            if (!quote.has_value()) {
              return py::none();
            }
            return py::make_tuple(quote->price, quote->rate().hourly(), quote->warnings);
          },
          py::arg("resource"))
      .def(
          "make_user_price",
          [](const PriceBook& book, const std::string& name, const std::string& price,
             const std::string& who) { return book.make_user_price(name, price, who, utc_now()); },
          py::arg("name"), py::arg("price"), py::arg("who"));
}

void bind_reading(py::class_<LedgerHandle>& type) {
  type.def(
          "runs",
          [](const LedgerHandle& self, const std::string& run_id, const std::string& project,
             const std::string& experiment, const std::string& name, const std::string& status,
             std::int64_t limit) {
            RunFilter filter{.run_id = RunId{run_id},
                             .project = project,
                             .experiment = experiment,
                             .name = name,
                             .status = {},
                             .limit = limit};
            if (!status.empty()) {
              filter.status = parse_run_status(status);
            }
            return self->runs(filter);
          },
          py::kw_only(), py::arg("run_id") = "", py::arg("project") = "",
          py::arg("experiment") = "", py::arg("name") = "", py::arg("status") = "",
          py::arg("limit") = 1'000, Release())
      .def(
          "attempts",
          [](const LedgerHandle& self, const std::string& run_id) {
            return self->attempts(RunId{run_id});
          },
          py::arg("run_id"), Release())
      .def(
          "decisions",
          [](const LedgerHandle& self, const std::string& attempt_id, std::int64_t limit) {
            return self->decisions(AttemptId{attempt_id}, limit);
          },
          py::kw_only(), py::arg("attempt_id") = "", py::arg("limit") = 1'000, Release())
      .def(
          "last_checkpoint",
          [](const LedgerHandle& self, const std::string& run_id) {
            return self->last_checkpoint(RunId{run_id});
          },
          py::arg("run_id"), Release())
      .def(
          "verify",
          [](const LedgerHandle& self, const std::string& since) {
            return since.empty() ? self->verify() : self->verify_since(since);
          },
          py::kw_only(), py::arg("since") = "", Release());
}

void bind_writing(py::class_<LedgerHandle>& type) {
  type.def(
          "settle_suspect",
          [](const LedgerHandle& self, const std::string& attempt_id, bool is_spent,
             const std::string& who) {
            const SuspectOutcome outcome =
                is_spent ? SuspectOutcome::Spent : SuspectOutcome::Released;
            return std::string(account_state_name(
                self->settle_suspect(AttemptId{attempt_id}, outcome, who, utc_now()).state));
          },
          py::arg("attempt_id"), py::kw_only(), py::arg("is_spent"), py::arg("who"), Release())
      .def(
          "set_price", [](const LedgerHandle& self, const PriceRow& row) { self->add_price(row); },
          py::arg("row"), Release())
      .def("price_unpriced", &price_unpriced, py::arg("book"), Release());
}

}  // namespace

void bind_ledger(py::module_& module) {
  py::class_<LedgerHandle> type(module, "Ledger", py::is_final());
  type.def(py::init([](const std::string& path, bool read_only, const py::object& busy_timeout) {
             LedgerOptions options;
             options.read_only = read_only;
             options.busy_timeout =
                 from_optional_timedelta(busy_timeout).value_or(options.busy_timeout);
             const ReleaseGil release;
             return LedgerHandle{open_ledger(path, options)};
           }),
           py::arg("path"), py::kw_only(), py::arg("read_only") = false,
           py::arg("busy_timeout") = py::none());
  bind_reading(type);
  bind_writing(type);
  bind_budget_calls(type);
  bind_lineage_calls(type);
  bind_forecast_calls(type);
  bind_price_book(module);
  module.def("default_home_path", &default_home_path, py::arg("path") = "");
  module.def(
      "open_home",
      [](const std::string& path) {
        const Home home = open_home(path);
        return py::make_tuple(home.path, home.warnings);
      },
      py::arg("path") = "");
  module.def("check_readable_home", &check_readable_home, py::arg("path"));
  module.def("sqlite_version", &ledger_engine_version);
}

}  // namespace finops::bindings
