// fuzz_forecaster_file.cpp - a forecaster's file, as it lies on a disk, and with its checksum
// mended.
//
// Invariants: a text is read in full or refused with an Error; what is read is written as it was
// read, and answers with finite, ordered numbers, now and after a further job.
#include "finops/predict/forecaster.hpp"

#include <cmath>
#include <string>

#include "finops/base/fnv1a.hpp"
#include "fuzz.hpp"

namespace {

using namespace finops;           // NOLINT(google-build-using-namespace): a target, not a library
using namespace finops::predict;  // NOLINT(google-build-using-namespace)

constexpr UtcTime kLate{std::chrono::hours{24 * 365 * 130}};

// With a wrong checksum nothing behind it would ever be reached.
std::string with_checksum(const std::string& body) {
  return R"({"schema":"finops.forecaster","schema_version":1,"checksum":")" +
         std::to_string(fnv1a(body)) + R"(","body":)" + body + "}";
}

void require_answer(const UsageForecast& usage) {
  fuzz::require(usage.p10_gpu_seconds >= 0 && usage.p10_gpu_seconds <= usage.p50_gpu_seconds &&
                    usage.p50_gpu_seconds <= usage.p90_gpu_seconds,
                "quantiles are in order");
  fuzz::require(!std::isnan(usage.mean_gpu_seconds) && usage.mean_gpu_seconds >= 0,
                "a mean is a number");
}

void require_sound(const std::string& text) {
  Forecaster forecaster = Forecaster::from_json(text);
  const std::string written = forecaster.to_json();
  fuzz::require(Forecaster::from_json(written).to_json() == written,
                "a forecaster is read as it was written");
  Job job;
  job.job_id = "asked";
  job.user_name = job.job_id;  // a new one
  job.gpu_count = 2;
  job.requested_seconds = 3600;
  job.submit_time = kLate;
  require_answer(forecaster.forecast(job, kLate, true));
  require_answer(forecaster.submit(job));
  forecaster.start("asked", kLate);
  require_answer(forecaster.refresh("asked", kLate + std::chrono::hours{1}));
  forecaster.end("asked", {kLate + std::chrono::hours{2}, 7200, JobStatus::COMPLETED});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::is_allowed([&] { require_sound(text); });
  fuzz::is_allowed([&] { require_sound(with_checksum(text)); });
  return 0;
}
