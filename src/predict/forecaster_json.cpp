// forecaster_json.cpp - a forecaster as a model file, and back.
//
// Owns: the file's layout, its limits and its checksum. Does not own: opening files.
// Invariant: what is refused is refused before it costs memory beyond the text's own.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "finops/base/error.hpp"
#include "finops/base/fnv1a.hpp"
#include "finops/predict/model_file.hpp"
#include "finops/record/json_depth.hpp"
#include "predict/forecaster_refit.hpp"
#include "predict/forecaster_state.hpp"

namespace finops::predict {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::size_t kMaxFileBytes = 256U << 20U;
constexpr std::size_t kMaxFileDepth = 16;

std::int64_t count_of(UtcTime time) { return time.time_since_epoch().count(); }
UtcTime time_of(const Json& value) { return UtcTime{Nanoseconds{value.get<std::int64_t>()}}; }

Json optional_json(const std::optional<std::int64_t>& value) {
  return value ? Json(*value) : Json();
}
std::optional<std::int64_t> optional_of(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<std::int64_t>());
}

Json record_json(const JobRecord& record) {
  const Job& job = record.job;
  Json row =
      Json::array({job.job_id, job.user_name, job.group_name, job.queue, job.name, job.gpu_model,
                   job.gpu_count, job.node_count, optional_json(job.requested_seconds),
                   optional_json(job.planned_steps), count_of(job.submit_time)});
  row.push_back(record.start_time ? Json(count_of(*record.start_time)) : Json());
  if (record.end) {
    row.push_back(count_of(record.end->end_time));
    row.push_back(record.end->run_seconds);
    row.push_back(static_cast<int>(record.end->status));
  }
  return row;
}

JobRecord record_of(const Json& row) {
  FINOPS_REQUIRE(row.is_array() && (row.size() == 12 || row.size() == 15),
                 ErrorCode::InvalidArgument, "the model file's history holds a row that is no job");
  JobRecord record;
  Job& job = record.job;
  job.job_id = row[0].get<std::string>();
  job.user_name = row[1].get<std::string>();
  job.group_name = row[2].get<std::string>();
  job.queue = row[3].get<std::string>();
  job.name = row[4].get<std::string>();
  job.gpu_model = row[5].get<std::string>();
  job.gpu_count = row[6].get<std::int32_t>();
  job.node_count = row[7].get<std::int32_t>();
  job.requested_seconds = optional_of(row[8]);
  job.planned_steps = optional_of(row[9]);
  job.submit_time = time_of(row[10]);
  if (!row[11].is_null()) {
    record.start_time = time_of(row[11]);
  }
  if (row.size() == 15) {
    const int status = row[14].get<int>();
    FINOPS_REQUIRE(status >= 0 && status <= static_cast<int>(JobStatus::CANCELLED_BY_SYSTEM),
                   ErrorCode::InvalidArgument, "the model file's history holds an unknown status");
    record.end = JobEnd{time_of(row[12]), row[13].get<double>(), static_cast<JobStatus>(status)};
  }
  return record;
}

Json options_json(const ForecasterOptions& options) {
  return {{"tree_count", options.tree_count},
          {"learning_rate", options.learning_rate},
          {"refit_period_ns", options.refit_period.count()},
          {"refit_job_count", options.refit_job_count},
          {"blend_job_count", options.blend_job_count},
          {"max_training_rows", options.max_training_rows},
          {"seed", options.seed}};
}

ForecasterOptions options_of(const Json& json) {
  ForecasterOptions options;
  options.tree_count = json.at("tree_count").get<int>();
  options.learning_rate = json.at("learning_rate").get<double>();
  options.refit_period = Nanoseconds{json.at("refit_period_ns").get<std::int64_t>()};
  options.refit_job_count = json.at("refit_job_count").get<int>();
  options.blend_job_count = json.at("blend_job_count").get<int>();
  options.max_training_rows = json.at("max_training_rows").get<std::size_t>();
  options.seed = json.at("seed").get<std::uint64_t>();
  return options;
}

Json parsed(std::string_view text) {
  FINOPS_REQUIRE(text.size() <= kMaxFileBytes, ErrorCode::InvalidArgument,
                 "the model file has " + std::to_string(text.size()) + " bytes; at most " +
                     std::to_string(kMaxFileBytes) + " are read");
  // A value is destroyed by recursion, so its depth is bounded before it is made.
  FINOPS_REQUIRE(json_depth(text) <= kMaxFileDepth, ErrorCode::InvalidArgument,
                 "the model file is nested deeper than " + std::to_string(kMaxFileDepth) +
                     " levels; it is damaged or hostile");
  Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  FINOPS_REQUIRE(root.is_object(), ErrorCode::InvalidArgument,
                 "the model file is no JSON object; it is damaged or another kind of file");
  return root;
}

// Job id, p10, p50, p90, group, mean, is_balanced, is_known_above: of each job in flight, by id.
Json promises_json(const std::unordered_map<std::string, InFlightJob>& in_flight) {
  std::map<std::string, Json> rows;
  for (const auto& [job_id, job] : in_flight) {
    if (job.promise) {
      const LogForecast& logs = job.promise->logs;
      rows[job_id] = Json::array({job_id, logs[0], logs[1], logs[2], job.promise->group,
                                  job.promise->mean_gpu_seconds, job.promise->is_balanced,
                                  job.promise->is_known_above});
    }
  }
  Json list = Json::array();
  for (auto& [job_id, row] : rows) {
    list.push_back(std::move(row));
  }
  return list;
}

void read_promises(const Json& list, std::unordered_map<std::string, InFlightJob>& in_flight) {
  for (const Json& row : list) {
    const auto found = in_flight.find(row.at(0).get<std::string>());
    const Promise promise{
        {row.at(1).get<double>(), row.at(2).get<double>(), row.at(3).get<double>()},
        row.at(4).get<std::size_t>(),
        row.at(5).get<double>(),
        row.at(6).get<bool>(),
        row.at(7).get<bool>()};
    FINOPS_REQUIRE(found != in_flight.end() && promise.group < kCalibrationGroupCount,
                   ErrorCode::InvalidArgument,
                   "the model file holds a promise to a job that is not in flight");
    found->second.promise = promise;
  }
}

Json days_json(const std::deque<MeanBalance::Day>& days) {
  Json list = Json::array();
  for (const MeanBalance::Day& day : days) {
    list.push_back({day.number, day.job_count, day.said_gpu_seconds, day.used_gpu_seconds});
  }
  return list;
}

std::deque<MeanBalance::Day> days_of(const Json& list) {
  std::deque<MeanBalance::Day> days;
  for (const Json& row : list) {
    days.push_back({row.at(0).get<std::int64_t>(), row.at(1).get<std::int64_t>(),
                    row.at(2).get<double>(), row.at(3).get<double>()});
  }
  return days;
}

Json scored_json(const std::deque<Scored>& scored) {
  std::string text;
  for (const Scored& one : scored) {
    text += one.is_below_p10 ? '<' : one.is_above_p90 ? '>' : '=';
  }
  return text;
}

std::deque<Scored> scored_of(const Json& json) {
  const auto text = json.get<std::string>();
  FINOPS_REQUIRE(text.size() <= kHealthWindow && text.find_first_not_of("<=>") == std::string::npos,
                 ErrorCode::InvalidArgument, "the model file holds a wrong record of its scores");
  std::deque<Scored> scored;
  for (const char c : text) {
    scored.push_back({c == '<', c == '>'});
  }
  return scored;
}

using Factors = std::array<Calibration::LogFactors, 1 + kCalibrationGroupCount>;

Factors factors_of(const Json& json) {
  FINOPS_REQUIRE(json.is_array() && json.size() == std::tuple_size_v<Factors>,
                 ErrorCode::InvalidArgument, "the model file's calibration has a wrong size");
  Factors factors{};
  for (std::size_t index = 0; index < factors.size(); ++index) {
    factors[index] = {json.at(index).at(0).get<double>(), json.at(index).at(1).get<double>()};
  }
  return factors;
}

std::vector<JobRecord> history_of(const Json& history, std::size_t max_ended_count) {
  FINOPS_REQUIRE(history.is_array(), ErrorCode::InvalidArgument,
                 "the model file's history is no list");
  std::vector<JobRecord> records;
  std::size_t ended_count = 0;
  for (const Json& row : history) {
    records.push_back(record_of(row));
    ended_count += records.back().end ? 1 : 0;
  }
  FINOPS_REQUIRE(ended_count <= max_ended_count, ErrorCode::InvalidArgument,
                 "the model file's history has more jobs than its own limit");
  if (!records.empty()) {
    require_history(records);
  }
  return records;
}

std::int64_t count_from(const Json& json, std::size_t least) {
  const auto count = json.get<std::int64_t>();
  FINOPS_REQUIRE(count >= static_cast<std::int64_t>(least), ErrorCode::InvalidArgument,
                 "the model file holds a count that is too small");
  return count;
}

}  // namespace

std::string Forecaster::to_json() const {
  const State& state = *state_;
  Json history = Json::array();
  for (const JobRecord& record : state.log.records()) {
    history.push_back(record_json(record));
  }
  Json body = {{"options", options_json(state.options)},
               {"ended_count", state.log.ended_count()},
               {"last_time_ns", count_of(state.last_time)},
               {"promises", promises_json(state.in_flight)},
               {"calibration", state.calibration.factors()},
               {"cold_start", state.cold.sums()},
               {"request_limit", state.request_limit.counts()},
               {"balance", days_json(state.balance.days())},
               {"scored", scored_json(state.scored)},
               {"model", state.model ? Json::parse(model_to_json(*state.model)) : Json()},
               {"refit_ended_count", state.refit_ended_count},
               {"refit_time_ns", count_of(state.refit_time)},
               {"history", std::move(history)}};
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return R"({"schema":"finops.forecaster","schema_version":)" + std::to_string(kSchemaVersion) +
         R"(,"checksum":")" + std::to_string(fnv1a(text)) + R"(","body":)" + text + "}";
}

void Forecaster::State::read(const nlohmann::json& body) {
  const std::vector<JobRecord> records = history_of(body.at("history"), options.max_training_rows);
  restore(records);
  const std::size_t kept_count = records.size() - in_flight.size();
  log.set_ended_count(count_from(body.at("ended_count"), kept_count));
  const UtcTime time = time_of(body.at("last_time_ns"));
  FINOPS_REQUIRE(time >= last_time && time <= UtcTime::max() - kCentury, ErrorCode::InvalidArgument,
                 "the model file's last time is before that of its history, or no time");
  last_time = time;
  read_promises(body.at("promises"), in_flight);
  for (const auto& [job_id, job] : in_flight) {
    const JobRecord& record = log.required(job_id);
    if (job.promise && !job.promise->is_known_above && record.start_time) {
      expect_overrun(record, *job.promise);
    }
  }
  calibration.set_factors(factors_of(body.at("calibration")));
  cold = ColdStart::from_sums(body.at("cold_start").get<std::vector<double>>());
  request_limit.set_counts(body.at("request_limit").get<RequestLimit::Counts>());
  balance.set_days(days_of(body.at("balance")));
  scored = scored_of(body.at("scored"));
  if (!body.at("model").is_null()) {
    ForestModel given = model_from_json(body.at("model").dump());
    FINOPS_REQUIRE(std::equal(given.feature_names.begin(), given.feature_names.end(),
                              feature_names().begin(), feature_names().end()) &&
                       given.outputs.size() == kModelOutputCount,
                   ErrorCode::InvalidArgument,
                   "the model file's trees are about other features than this finops has; "
                   "train anew with finops predict train");
    set_model(std::move(given), count_from(body.at("refit_ended_count"), 1),
              time_of(body.at("refit_time_ns")));
  }
}

Forecaster Forecaster::from_json(std::string_view json_text) {
  const Json root = parsed(json_text);
  try {
    FINOPS_REQUIRE(root.at("schema") == "finops.forecaster", ErrorCode::InvalidArgument,
                   "the file is no forecaster; train one with finops predict train");
    const auto version = root.at("schema_version").get<std::int64_t>();
    FINOPS_REQUIRE(version <= kSchemaVersion, ErrorCode::UnsupportedSchema,
                   "the model file has schema version " + std::to_string(version) +
                       ", this finops reads up to " + std::to_string(kSchemaVersion) +
                       "; upgrade finops or train anew");
    const Json& body = root.at("body");
    FINOPS_REQUIRE(root.at("checksum") == std::to_string(fnv1a(body.dump())),
                   ErrorCode::InvalidArgument,
                   "the model file is damaged: its checksum differs; train anew");
    Forecaster forecaster(options_of(body.at("options")));
    forecaster.state_->read(body);
    return forecaster;
  } catch (const Json::exception& error) {
    detail::throw_error(ErrorCode::InvalidArgument,
                        std::string("the model file lacks a part or has a wrong one: ") +
                            error.what());
  }
}

}  // namespace finops::predict
