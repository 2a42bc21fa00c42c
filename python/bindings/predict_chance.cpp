// predict_chance.cpp - binds the chance that a forecast from three quantiles is exceeded.
#include "convert.hpp"
#include "finops/predict/forecaster.hpp"

namespace finops::bindings {

void bind_predict_chance(py::module_& module) {
  module.def(
      "chance_to_exceed",
      [](double p10_gpu_seconds, double p50_gpu_seconds, double p90_gpu_seconds,
         double gpu_seconds) {
        predict::UsageForecast forecast;
        forecast.p10_gpu_seconds = p10_gpu_seconds;
        forecast.p50_gpu_seconds = p50_gpu_seconds;
        forecast.p90_gpu_seconds = p90_gpu_seconds;
        return predict::chance_to_exceed(forecast, gpu_seconds);
      },
      py::kw_only(), py::arg("p10_gpu_seconds"), py::arg("p50_gpu_seconds"),
      py::arg("p90_gpu_seconds"), py::arg("gpu_seconds"),
      "Chance, 0 to 1, that a job of these three quantiles uses more than `gpu_seconds`.");
}

}  // namespace finops::bindings
