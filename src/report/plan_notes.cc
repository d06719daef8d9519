// Sentences on how a plan was found.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

std::string profile_note(const ProfiledSegmentation& profiled, const PlanRequest& request,
                         const Graph& graph, std::size_t count) {
  const char* kind = request.measure ? "measured" : "simulated";
  std::string notes =
      fmt::format("Profile: {} {}", format_count(profiled.measurements, "latency"), kind);
  if (request.search == ProfileSearch::kBisection) {
    notes += ", in the operator order of Google's compiler.\n";
  } else {
    const std::uint64_t choices = count_choices(graph.depth(), count);
    notes += fmt::format(" ({} between depths, {} of cuts).\n",
                         format_count(graph.depth() * (graph.depth() + 1) / 2, "segment"),
                         choices < std::numeric_limits<std::uint64_t>::max()
                             ? format_count(choices, "choice")
                             : "more than 10^15 choices");
  }
  if (request.measure) {
    notes += fmt::format("The slowest segment takes {} on one core (measured).\n",
                         format_time(profiled.slowest));
  }
  return notes;
}

std::string move_lines(const BalancedSegmentation& balanced) {
  std::string text;
  for (std::size_t i = 0; i < balanced.moves.size();) {
    const CutMove& first = balanced.moves[i];
    text += first.by_search ? "Search over all cuts:" : "Refinement:";
    const char* separator = " ";
    do {
      const CutMove& move = balanced.moves[i++];
      text += fmt::format("{}the cut below segment {} moved from depth {} to {}", separator,
                          move.cut, move.from_depth, move.to_depth);
      separator = ", ";
    } while (i < balanced.moves.size() && first.by_search &&
             balanced.moves[i].host_bytes_before == first.host_bytes_before);
    text += fmt::format("; host bytes {} -> {}\n", format_bytes(first.host_bytes_before),
                        format_bytes(first.host_bytes_after));
  }
  return text;
}

// Rounds down to one decimal, so that a gain below a limit is not printed as the limit.
double rounded_down(double percent) { return std::floor(percent * 10) / 10; }

std::string choice_note(const CountChoice& choice, const PlanRequest& request, std::size_t used,
                        std::size_t given) {
  const std::string count = format_count(given, "TPU");
  const double least_percent = request.least_gain * 100;
  switch (choice.reason) {
    case CountChoice::Reason::kReachesGoals:
      return fmt::format("{} {} the fewest that reach {} (simulated).\n", format_count(used, "TPU"),
                         used == 1 ? "is" : "are", goals_text(request));
    case CountChoice::Reason::kNoMoreSegments:
      return fmt::format("{}: the model cannot be split into more segments.\n", count);
    case CountChoice::Reason::kNoGain:
      return fmt::format("{}: one more TPU would not increase throughput (simulated).\n", count);
    case CountChoice::Reason::kLittleGain:
      return fmt::format(
          "{}: one more TPU would increase throughput by {:.1f} %, less than {:g} % "
          "(simulated).\n",
          count, rounded_down(choice.gain * 100), least_percent);
    case CountChoice::Reason::kLimit:
      return fmt::format(
          "{}, the largest number allowed: each TPU increased throughput by at least "
          "{:g} % (simulated).\n",
          count, least_percent);
  }
  return "";
}

}  // namespace

std::string plan_notes(const PlanResult& result, const PlanRequest& request, const Graph& graph) {
  const std::uint32_t given = device_count(result.pools);
  std::string notes;
  if (result.balanced) notes += move_lines(*result.balanced);
  if (request.refines != nullptr && result.plan.stages[0].compiled) {
    notes += fmt::format("Memory sizes are those reported by edgetpu_compiler {}.\n",
                         result.plan.stages[0].compiled->compiler);
  }
  if (result.profiled) notes += profile_note(*result.profiled, request, graph, given);
  if (result.choice) {
    notes += choice_note(*result.choice, request, result.plan.device_count(), given);
    if (result.choice->optimal_per_s) {
      notes += fmt::format(
          "Strategy optimal, which can replicate stages, reaches {:.1f}/s on {} "
          "(simulated).\n",
          *result.choice->optimal_per_s, format_count(given + 1, "TPU"));
    }
  }
  constexpr double kNegligible = 0.99;
  const bool waits = result.sustained_per_s <= kNegligible * result.plan.predicted.throughput_per_s;
  if (waits && result.plan.network) {
    notes += fmt::format(
        "The plan does not model waiting times on links. With first-come, first-served links and "
        "one input in advance for each TPU, the simulated throughput is {:.1f}/s (`segue "
        "simulate`).\n",
        result.sustained_per_s);
  } else if (waits) {
    notes += fmt::format(
        "The plan does not model waiting times on a shared link. With first-come, first-served "
        "arbitration, the simulated throughput is {:.1f}/s (`segue simulate`). Another strategy "
        "may be faster there.\n",
        result.sustained_per_s);
  }
  return notes;
}

}  // namespace segue
