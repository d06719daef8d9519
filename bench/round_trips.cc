// What python_overhead.py compares Python with: single inputs through a pipeline and back.
//   round_trips FOLDER RUNTIME INPUTS   prints the median of a round trip in ns
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "segue/backend.h"
#include "segue/pipeline.h"
#include "segue/verify.h"

namespace {

using Clock = std::chrono::steady_clock;

segue::Nanoseconds round_trip(segue::Pipeline& pipeline, const segue::TensorBytes& value) {
  const auto begin = Clock::now();
  segue::PipelineResult result;
  if (pipeline.push_borrowed({{value, nullptr}}) != segue::Flow::kOk ||
      pipeline.pop(result) != segue::Flow::kOk)
    std::abort();
  return Clock::now() - begin;
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
  std::vector<segue::Nanoseconds> times(static_cast<std::size_t>(std::atoll(argv[3])));
  for (segue::Nanoseconds& time : times) time = round_trip(pipeline, value);
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  std::printf("%lld\n", static_cast<long long>(times[times.size() / 2].count()));
}
