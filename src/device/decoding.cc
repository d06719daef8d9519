#include "segue/decoding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "device/edgetpu/internal/segment_sum.h"
#include "segue/error.h"

namespace segue {
namespace {

// Measured on one core of a desktop computer with 100 boxes above the threshold:
//     build/release/bench/decoding_bench --benchmark_repetitions=5
// docs/cost-model.md, "Decoding of detectors", compares the times with these constants.
struct FamilyRates {
  DetectorFamily family{};
  double fixed_ns = 0;  // the boxes above the threshold and their suppression
  double box_ns = 0;
  double score_ns = 0;
};
constexpr std::array kRates{FamilyRates{DetectorFamily::kPostProcessed, 1e3, 100, 0},
                            FamilyRates{DetectorFamily::kSsd, 15e3, 2, 2},
                            FamilyRates{DetectorFamily::kEfficientDet, 15e3, 2, 2},
                            FamilyRates{DetectorFamily::kYolov5, 10e3, 5.5, 0},
                            FamilyRates{DetectorFamily::kYolov8, 10e3, 6, 0.85}};

const DetectorFamilyName& named(DetectorFamily family) {
  return *std::ranges::find(kDetectorFamilies, family, &DetectorFamilyName::family);
}

Nanoseconds time_on(const DecodingWork& work, const DeviceSpec& device) {
  const FamilyRates& rates = *std::ranges::find(kRates, work.family, &FamilyRates::family);
  const double ns = rates.fixed_ns + static_cast<double>(work.boxes) * rates.box_ns +
                    static_cast<double>(work.scores) * rates.score_ns;
  return Nanoseconds(to_whole_ns(ns * device.timing.host_slowdown.value));
}

}  // namespace

std::string_view to_string(DetectorFamily family) { return named(family).name; }

DetectorFamily parse_detector_family(std::string_view text) {
  std::vector<std::string_view> keys;
  for (const DetectorFamilyName& known : kDetectorFamilies) {
    if (text == known.key || text == known.name) return known.family;
    keys.push_back(known.key);
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown family '{}' (expected one of {})", text, fmt::join(keys, ", ")));
}

Decoding decoding_on(const DecodingWork& work, std::span<const DevicePool> pools) {
  if (pools.empty()) throw Error(ErrorCode::kInvalidArgument, "decoding on the host of no device");
  Decoding result{work};
  for (const DevicePool& pool : pools)
    result.time = std::max(result.time, time_on(work, pool.device));
  const auto end = [&](double factor) {
    return Nanoseconds(to_whole_ns(static_cast<double>(result.time.count()) * factor));
  };
  result.range = {end(kHostOperatorFactors.low), end(kHostOperatorFactors.high)};
  return result;
}

}  // namespace segue
