// The C++ part of python_overhead.py: single inputs pass a pipeline.
//   round_trips FOLDER RUNTIME INPUTS   prints medians in ns: of a round trip, and of its part
//                                       outside the pipeline, which is from the call to push until
//                                       the input is accepted, and from the time when the result
//                                       can be popped to the end of pop
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "segue/pipeline.h"
#include "segue/runtime.h"
#include "segue/verify.h"

namespace {

using Clock = std::chrono::steady_clock;

struct RoundTrip {
  segue::Nanoseconds all{0};
  segue::Nanoseconds outside{0};
};

RoundTrip round_trip(segue::Pipeline& pipeline, const segue::TensorBytes& value) {
  const auto begin = Clock::now();
  segue::PipelineResult result;
  if (pipeline.push_borrowed({{value, nullptr}}) != segue::Flow::kOk ||
      pipeline.pop(result) != segue::Flow::kOk)
    std::abort();
  const segue::Nanoseconds all = Clock::now() - begin;
  return {all, all - result.latency};
}

long long median(std::vector<RoundTrip>& trips, segue::Nanoseconds RoundTrip::*part) {
  std::ranges::sort(trips, {}, part);
  return (trips[trips.size() / 2].*part).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::shared_ptr<const segue::Backend> backend =
      segue::make_cpu_backend({.libraries = {argv[2]}});
  const auto files = segue::find_segments(argv[1]);
  std::vector<segue::PipelineDevice> devices;
  for (std::size_t i = 0; i < files.size(); ++i)
    devices.push_back({"core " + std::to_string(i), backend});
  segue::Pipeline pipeline(segue::pipeline_layout(files, {}), std::move(devices), {});
  const segue::TensorBytes value = segue::random_inputs(pipeline.inputs(), 1).front();
  std::vector<RoundTrip> trips(static_cast<std::size_t>(std::atoll(argv[3])));
  for (RoundTrip& trip : trips) trip = round_trip(pipeline, value);
  std::printf("%lld %lld\n", median(trips, &RoundTrip::all), median(trips, &RoundTrip::outside));
}
