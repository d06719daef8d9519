#include "cli/tpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "segue/error.h"
#include "segue/planner.h"
#include "segue/timeline.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

constexpr std::uint32_t kMostTpus = 16;
constexpr double kLeastGainPercent = 10;

// A number at the beginning of the text, and what stands behind it.
std::pair<double, std::string_view> split_number(std::string_view text) {
  double value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return {-1, text};
  return {value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

// "100/s" or "100".
double parse_target(const std::string& text) {
  const auto [value, unit] = split_number(text);
  if (value > 0 && value < 1e9 && (unit.empty() || unit == "/s")) return value;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--target '{}': expected results per second, for example 100/s", text));
}

// What a plan is asked to reach.
struct Goals {
  std::optional<double> throughput_per_s;
  std::optional<Nanoseconds> latency;

  explicit Goals(const CutOptions& options) {
    if (!options.target.empty()) throughput_per_s = parse_target(options.target);
    if (!options.max_latency.empty()) latency = parse_latency(options.max_latency);
  }
  [[nodiscard]] bool any() const { return throughput_per_s || latency; }
  [[nodiscard]] bool is_quick(const Prediction& predicted) const {
    return !latency || predicted.latency <= *latency;
  }
  [[nodiscard]] bool are_met(const Plan& plan, const CutOptions& options) const {
    if (!is_quick(plan.predicted)) return false;
    return !throughput_per_s ||
           sustained_per_s(plan, devices_of_plan(plan, options.device)) >= *throughput_per_s;
  }
  [[nodiscard]] std::string text() const {
    std::string result;
    if (throughput_per_s) result = fmt::format("{:g} results per second", *throughput_per_s);
    if (latency) {
      result += fmt::format("{}a latency of at most {}", result.empty() ? "" : " with ",
                            format_time(*latency));
    }
    return result;
  }
};

std::string reached(const Plan& plan, const CutOptions& options) {
  return fmt::format("{:.1f}/s with a latency of {} on {}",
                     sustained_per_s(plan, devices_of_plan(plan, options.device)),
                     format_time(plan.predicted.latency), format_count(plan.device_count(), "TPU"));
}

// Whether `a` misses the goals by less: quick enough first, then more results, then quicker.
bool is_nearer(const Goals& goals, const Plan& a, const Plan& b) {
  if (goals.is_quick(a.predicted) != goals.is_quick(b.predicted))
    return goals.is_quick(a.predicted);
  if (!goals.is_quick(a.predicted)) return a.predicted.latency < b.predicted.latency;
  return a.predicted.bottleneck < b.predicted.bottleneck;
}

// Nothing where the model has not that many cuts, or none of the plans is quick enough.
std::optional<CutResult> try_tpus(const Graph& graph, const CutOptions& options,
                                  std::uint32_t tpus) {
  try {
    return make_cut_for(graph, options, tpus);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInfeasible) throw;
    return std::nullopt;
  }
}

CutResult reach_goals(const Graph& graph, const CutOptions& options, const Goals& goals) {
  const std::uint32_t most = options.max_tpus.value_or(kMostTpus);
  std::optional<CutResult> nearest;
  for (std::uint32_t tpus = 1; tpus <= most; ++tpus) {
    auto result = try_tpus(graph, options, tpus);
    if (!result) continue;
    if (goals.are_met(result->plan, options)) {
      result->notes += fmt::format("{} TPU{} the fewest that reach {} (simulated).\n", tpus,
                                   tpus == 1 ? " is" : "s are", goals.text());
      return std::move(*result);
    }
    if (!nearest || is_nearer(goals, result->plan, nearest->plan)) nearest = std::move(result);
  }
  if (!nearest) {
    // Without the limit, what comes nearest to it.
    CutOptions quickest = options;
    quickest.max_latency.clear();
    quickest.target.clear();
    quickest.tpus.clear();
    quickest.max_tpus.reset();
    quickest.min_gain_percent.reset();
    if (options.strategy == "optimal") quickest.objective = "latency";
    for (std::uint32_t tpus = 1; tpus <= most; ++tpus) {
      auto result = try_tpus(graph, quickest, tpus);
      if (result && (!nearest || is_nearer(goals, result->plan, nearest->plan)))
        nearest = std::move(result);
    }
  }
  throw Error(
      ErrorCode::kInfeasible,
      fmt::format("{}: no plan of strategy {} on up to {} reaches {}; nearest: {} (simulated){}",
                  graph.model().name(), options.strategy, format_count(most, "TPU"), goals.text(),
                  nearest ? reached(nearest->plan, options) : "none",
                  options.strategy == "optimal" ? "" : "; try `--strategy optimal`"));
}

// To one decimal, so that what is less than a number is not printed as that number.
double rounded_down(double percent) { return std::floor(percent * 10) / 10; }

// What one more TPU brings to the best plan, copies of segments included, where the strategy asked
// for makes no copies.
std::string gain_with_copies(const Graph& graph, const CutOptions& options, const Plan& chosen,
                             std::uint32_t tpus) {
  if (options.strategy == "optimal") return "";
  CutOptions best = options;
  best.strategy = "optimal";
  best.compiler.command.clear();
  best.search.clear();
  best.measure.clear();
  const auto found = try_tpus(graph, best, tpus);
  if (!found) return "";
  const double per_s = found->plan.predicted.throughput_per_s;
  const double gain = per_s / chosen.predicted.throughput_per_s - 1;
  if (gain * 100 < options.min_gain_percent.value_or(kLeastGainPercent)) return "";
  return fmt::format(
      "`--strategy optimal`, which can replicate stages, reaches {:.1f}/s on {} (simulated).\n",
      per_s, format_count(tpus, "TPU"));
}

// Stops where one more TPU brings less than the share asked for.
CutResult while_worth_it(const Graph& graph, const CutOptions& options) {
  const std::uint32_t most = options.max_tpus.value_or(kMostTpus);
  const double least_gain = options.min_gain_percent.value_or(kLeastGainPercent);
  const auto count = [](std::uint32_t n) { return format_count(n, "TPU"); };
  std::optional<CutResult> chosen = try_tpus(graph, options, 1);
  for (std::uint32_t tpus = 1; chosen && tpus < most; ++tpus) {
    auto more = try_tpus(graph, options, tpus + 1);
    if (!more) {
      chosen->notes +=
          fmt::format("{}: the model cannot be split into more segments.\n", count(tpus));
      return std::move(*chosen);
    }
    const double gain =
        more->plan.predicted.throughput_per_s / chosen->plan.predicted.throughput_per_s - 1;
    if (gain <= 0) {
      chosen->notes +=
          fmt::format("{}: one more TPU would not increase throughput (simulated).\n", count(tpus));
      chosen->notes += gain_with_copies(graph, options, chosen->plan, tpus + 1);
      return std::move(*chosen);
    }
    if (gain * 100 < least_gain) {
      chosen->notes += fmt::format(
          "{}: one more TPU would increase throughput by {:.1f} %, less than {:g} % (simulated).\n",
          count(tpus), rounded_down(gain * 100), least_gain);
      chosen->notes += gain_with_copies(graph, options, chosen->plan, tpus + 1);
      return std::move(*chosen);
    }
    chosen = std::move(more);
  }
  if (!chosen) throw Error(ErrorCode::kInfeasible, graph.model().name() + ": no plan on one TPU");
  chosen->notes += fmt::format(
      "{}, the limit of the search (--max-tpus): each TPU increased throughput by at least {:g} % "
      "(simulated).\n",
      format_count(most, "TPU"), least_gain);
  return std::move(*chosen);
}

}  // namespace

std::uint32_t parse_tpus(const std::string& text) {
  constexpr std::uint32_t kMost = 1024;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value >= 1 && value <= kMost)
    return value;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--tpus '{}': expected a number from 1 to {}, or auto", text, kMost));
}

std::optional<TpuRange> parse_range(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::uint32_t {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() ? value : 0;
  };
  const std::size_t dots = text.find("..");
  TpuRange range;
  range.first = number(text.substr(0, dots));
  range.last = dots == std::string_view::npos ? range.first : number(text.substr(dots + 2));
  if (range.first == 0 || range.last < range.first || range.last > kMostComparedTpus)
    return std::nullopt;
  return range;
}

Nanoseconds parse_latency(const std::string& text) {
  constexpr double kLongestNs = 1e15;
  const auto [value, unit] = split_number(text);
  const double ns = value * (unit == "s" ? 1e9 : unit == "ms" ? 1e6 : unit == "us" ? 1e3 : -1);
  if (value > 0 && ns > 0 && ns <= kLongestNs) return Nanoseconds(static_cast<std::int64_t>(ns));
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--max-latency '{}': expected a time with its unit, for example 30ms or 0.5s",
                  text));
}

void check_counts_once(std::span<const DevicePool> pools, const CutOptions& options) {
  const std::uint32_t count = device_count(pools);
  const bool devices_have_it = pools.size() > 1;
  if (!options.tpus.empty() && (devices_have_it || count != parse_tpus(options.tpus))) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--device '{}' already contains the number of TPUs; remove --tpus",
                            options.device));
  }
}

double sustained_per_s(const Plan& plan, std::span<const DevicePool> pools) {
  if (std::ranges::none_of(pools, &DevicePool::shares_link)) return plan.predicted.throughput_per_s;
  constexpr std::uint64_t kLong = 1000;
  TimelineOptions options = timeline_options(plan, pools);
  options.inputs = kLong;
  const Nanoseconds period = simulate_timeline(stage_loads(plan), options).steady_period();
  return std::min(plan.predicted.throughput_per_s, 1 / to_s(period));
}

std::string shared_link_note(const Plan& plan, std::span<const DevicePool> pools) {
  const double sustained = sustained_per_s(plan, pools);
  constexpr double kNegligible = 0.99;
  if (sustained > kNegligible * plan.predicted.throughput_per_s) return "";
  return fmt::format(
      "The plan does not model waiting times on a shared link. With first-come, first-served "
      "arbitration, the simulated throughput is {:.1f}/s (`segue simulate`). Another strategy may "
      "be faster there.\n",
      sustained);
}

void check_goals(const Plan& plan, const CutOptions& options) {
  const Goals goals(options);
  if (goals.are_met(plan, options)) return;
  throw Error(
      ErrorCode::kInfeasible,
      fmt::format("{}: goal not reached: {} requested, {} predicted (simulated); {}",
                  plan.model.name, goals.text(), reached(plan, options),
                  options.strategy != "optimal"         ? "--strategy optimal may reach it"
                  : plan.bound && plan.bound->is_proven ? "proven infeasible on these devices"
                                                        : "this is the best plan found"));
}

CutResult choose_tpus(const Graph& graph, const CutOptions& options) {
  if (has_device_count(options.device_or_default()) ||
      device_count(open_devices(options.device_or_default(), 1)) != 1) {
    throw Error(ErrorCode::kInvalidArgument,
                "--tpus auto chooses the number of equal devices; name one device without a count");
  }
  const Goals goals(options);
  return goals.any() ? reach_goals(graph, options, goals) : while_worth_it(graph, options);
}

}  // namespace segue::cli
