#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>

#include "segue/calibrate.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/graph.h"
#include "toolchain/calibrate/least_squares.h"

namespace segue {
namespace {

// The unknown constants. Times are linear in them, or in their inverse if they are rates.
struct Unknown {
  std::string_view key;
  bool is_rate = false;
  bool may_be_zero = false;
};
constexpr std::array<Unknown, 5> kUnknowns{
    {{"invoke"}, {"input", false, true}, {"output", false, true}, {"link", true}, {"clock", true}}};

const NamedConstant& constant_of(const Unknown& unknown) {
  return *std::ranges::find(device_constants(), unknown.key, &NamedConstant::key);
}

// A probe with its data that do not depend on the unknowns.
class Subject {
 public:
  Subject(const Probe& probe, const DeviceSpec& base)
      : graph_(probe.model),
        operators_(graph_.operators_between(1, graph_.depth())),
        memory_(make_simulated_compiler(base)->compile(graph_, operators_)) {}
  [[nodiscard]] Nanoseconds time(const DeviceSpec& device) const {
    return simulate_segment(graph_, operators_, memory_, device).total();
  }

 private:
  Graph graph_;
  std::vector<OperatorId> operators_;
  MemoryReport memory_;
};

double ns(Nanoseconds time) { return static_cast<double>(time.count()); }

// Returns the device with a constant changed so that its share of all times doubles.
DeviceSpec doubled(DeviceSpec device, const Unknown& unknown) {
  Constant& constant = *constant_of(unknown).of(device);
  constant.value *= unknown.is_rate ? 0.5 : 2;
  return device;
}

// Returns one equation for each probe of the fit. Its unknowns are multiples of the base's
// constants, and its sum is the measured time. Coefficients are differences of simulated times, so
// that the formulas of the simulator are not repeated here.
LinearEquations equations(std::span<const Probe> probes, std::span<const ProbeTime> times,
                          const DeviceSpec& base) {
  LinearEquations result;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (probes[i].measures.empty()) continue;
    const Subject subject(probes[i], base);
    const double measured = ns(times[i].median);
    double rest = ns(subject.time(base));
    LinearEquation& equation = result.emplace_back();
    for (const Unknown& unknown : kUnknowns) {
      const double share = ns(subject.time(doubled(base, unknown)) - subject.time(base));
      equation.factors.push_back(share / measured);
      rest -= share;
    }
    equation.right = 1 - rest / measured;
  }
  return result;
}

[[noreturn]] void fail(const std::string& reason, std::span<const Probe> probes,
                       std::span<const ProbeTime> times) {
  std::string all;
  for (std::size_t i = 0; i < probes.size(); ++i) {
    all += fmt::format("{}{} {}", i == 0 ? "" : ", ", probes[i].model.name(),
                       format_time(times[i].median));
  }
  throw Error(
      ErrorCode::kDevice,
      fmt::format("{} (measured: {}); stop other programs on this computer and this device, let "
                  "the device cool, check that the base is of the same kind, and measure again",
                  reason, all));
}

// Solves the equations. The results are multiples of the base's constants.
std::vector<double> multiples(std::span<const Probe> probes, std::span<const ProbeTime> times,
                              const DeviceSpec& base) {
  const LinearEquations all = equations(probes, times, base);
  std::vector<bool> is_zero(kUnknowns.size(), false);
  while (true) {
    const auto solution = least_squares(all, is_zero);
    if (!solution) fail("the times do not determine the constants", probes, times);
    bool is_done = true;
    for (std::size_t j = 0; j < kUnknowns.size(); ++j) {
      if ((*solution)[j] > 0 || is_zero[j]) continue;
      if (!kUnknowns[j].may_be_zero)
        fail(fmt::format("no positive value of '{}' explains the times", kUnknowns[j].key), probes,
             times);
      is_zero[j] = true;
      is_done = false;
    }
    if (is_done) return *solution;
  }
}

double rounded(double value, int digits) {
  return std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);
}

// Sets the measured constants in the device.
std::vector<CalibratedConstant> set_constants(DeviceSpec& device, std::span<const Probe> probes,
                                              std::span<const ProbeTime> times) {
  constexpr int kDigits = 4;
  const std::vector<double> solution = multiples(probes, times, device);
  std::vector<CalibratedConstant> constants;
  for (std::size_t j = 0; j < kUnknowns.size(); ++j) {
    const NamedConstant& named = constant_of(kUnknowns[j]);
    Constant& constant = *named.of(device);
    CalibratedConstant result{std::string(kUnknowns[j].key), std::string(named.unit),
                              constant.value / named.in_unit, 0};
    result.measured = rounded(
        kUnknowns[j].is_rate ? result.base / solution[j] : result.base * solution[j], kDigits);
    if (!(result.measured >= named.smallest && result.measured <= named.largest)) {
      fail(fmt::format("'{}' would be {:g} {}, but a device file allows {:g} to {:g}", named.key,
                       result.measured, named.unit, named.smallest, named.largest),
           probes, times);
    }
    constant = {result.measured * named.in_unit, constant.unit, Evidence::kMeasured,
                "segue calibrate"};
    constants.push_back(result);
  }
  return constants;
}

void check_fit(const CalibrationResult& result, std::span<const Probe> probes,
               std::span<const ProbeTime> times) {
  constexpr double kMostOfFit = 0.1;
  constexpr double kMostOfCheck = 2;
  for (const CalibratedProbe& probe : result.probes) {
    const double ratio = probe.ratio();
    const bool is_fitted = !probe.measures.empty();
    if (is_fitted ? std::abs(1 / ratio - 1) <= kMostOfFit
                  : ratio <= kMostOfCheck && ratio >= 1 / kMostOfCheck)
      continue;
    fail(fmt::format("{}: takes {:.2f} times as long as predicted by the constants that {}",
                     probe.name, ratio, is_fitted ? "fit best" : "were measured"),
         probes, times);
  }
}

Calibration check_of(std::span<const CalibratedProbe> probes) {
  constexpr double kSteps = 1e4;
  std::vector<double> ratios;
  for (const CalibratedProbe& probe : probes) {
    if (probe.measures.empty()) ratios.push_back(probe.ratio());
  }
  const auto [low, high] = std::ranges::minmax(ratios);
  return {std::floor(low * kSteps) / kSteps, std::ceil(high * kSteps) / kSteps};
}

}  // namespace

CalibrationResult fit_calibration(std::span<const Probe> probes, std::span<const ProbeTime> times,
                                  const DeviceSpec& base) {
  if (probes.size() != times.size() || std::ranges::count(probes, "", &Probe::measures) == 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} times for {} probes; pass all probes of make_probes, with one time each",
                    times.size(), probes.size()));
  }
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (times[i].median <= Nanoseconds(0))
      fail(probes[i].model.name() + ": measured time is 0", probes, times);
  }
  CalibrationResult result;
  result.base = find_device(base.name).name;
  result.device = base;
  result.constants = set_constants(result.device, probes, times);
  for (std::size_t i = 0; i < probes.size(); ++i) {
    const Nanoseconds simulated = Subject(probes[i], result.device).time(result.device);
    result.probes.push_back({probes[i].model.name(), probes[i].measures, times[i], simulated});
  }
  check_fit(result, probes, times);
  result.device.calibration = check_of(result.probes);
  return result;
}

}  // namespace segue
