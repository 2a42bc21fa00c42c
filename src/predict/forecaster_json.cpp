// forecaster_json.cpp - a forecaster as a model file, and back.
//
// Owns: the file's layout, its limits and its checksum. Does not own: opening files.
// Invariant: what is refused is refused before it costs memory beyond the text's own.
#include <nlohmann/json.hpp>

#include "finops/base/error.hpp"
#include "finops/record/json_depth.hpp"
#include "predict/forecaster_state.hpp"

namespace finops::predict {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::size_t kMaxFileBytes = 256U << 20U;
constexpr std::size_t kMaxFileDepth = 16;

// FNV-1a, 64 bits: finds damage, not malice.
std::uint64_t checksum_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return hash;
}

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

}  // namespace

std::string Forecaster::to_json() const {
  Json history = Json::array();
  for (const JobRecord& record : state_->log.records()) {
    history.push_back(record_json(record));
  }
  Json body = {{"options", options_json(state_->options)},
               {"ended_count", state_->log.ended_count()},
               {"last_time_ns", count_of(state_->last_time)},
               {"history", std::move(history)}};
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return R"({"schema":"finops.forecaster","schema_version":)" + std::to_string(kSchemaVersion) +
         R"(,"checksum":")" + std::to_string(checksum_of(text)) + R"(","body":)" + text + "}";
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
    FINOPS_REQUIRE(root.at("checksum") == std::to_string(checksum_of(body.dump())),
                   ErrorCode::InvalidArgument,
                   "the model file is damaged: its checksum differs; train anew");
    Forecaster forecaster(options_of(body.at("options")));
    const Json& history = body.at("history");
    FINOPS_REQUIRE(history.is_array() && history.size() <= 2 * kMaxLoggedJobCount,
                   ErrorCode::InvalidArgument, "the model file's history is too long");
    std::vector<JobRecord> records;
    records.reserve(history.size());
    for (const Json& row : history) {
      records.push_back(record_of(row));
    }
    if (!records.empty()) {
      require_history(records);
      forecaster.state_->replay(records);
    }
    forecaster.state_->log.set_ended_count(body.at("ended_count").get<std::int64_t>());
    forecaster.state_->last_time = time_of(body.at("last_time_ns"));
    return forecaster;
  } catch (const Json::exception& error) {
    detail::throw_error(ErrorCode::InvalidArgument,
                        std::string("the model file lacks a part or has a wrong one: ") +
                            error.what());
  }
}

}  // namespace finops::predict
