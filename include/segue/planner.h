/// Plans by strategy, the exact search, comparisons of strategies, and the check of proofs.
///
/// `plan_model` turns a graph and a request (devices, strategy, goals) into a Plan.
/// `segment_optimal` is the exact search behind Strategy::kOptimal. `check_certificate` verifies
/// the claim of such a plan with an independent algorithm. A strategy outside the library is a
/// StrategyRow (examples/custom_strategy.cc).
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet101.tflite");
///     const segue::Graph graph(model);
///     const segue::PlanRequest request{.pools = segue::open_devices("edgetpu-pcie", 4)};
///     const segue::Plan plan = segue::plan_model(graph, request).plan;
///     std::printf("%.1f inferences/s\n", plan.predicted.throughput_per_s);
///
/// All times are simulated (cost.h). docs/segmentation.md explains the strategies and their
/// results.
///
/// Long searches end early on request (stop.h).
///
/// Thread-safety: all functions are pure. Planners may be used from several threads. Results are
/// deterministic and do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/segmentation.h"
#include "segue/topology.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Exact search (strategy "optimal")
//
// The search finds stages and replicas on given devices with the smallest bottleneck over all
// convex segmentations of the graph, under the simulator's times: computation, transfers,
// streaming, fixed costs, and time on links that several devices share. Candidates are all chains
// of order ideals (sets that contain with an operator all its predecessors), not only horizontal
// cuts or one topological order. CNNs have few ideals (ResNet152 224, InceptionV4 2237), so the
// search over all of them takes milliseconds on equal devices.
//
// For a bottleneck T, a dynamic program from larger to smaller ideals computes the devices that the
// operators outside an ideal need. T is bisected and moves to realisable values. With shared links,
// a latency limit or unequal devices, the resources of a chain of stages (devices of each pool,
// time on each shared link, latency, number of stages) are kept in labels, without dominated ones.
// Pairs of ideals whose work or parameters exceed what the devices can hold are pruned.
//
// Sources: J. Tarnawski et al., "Efficient algorithms for device placement of DNN graph operators"
// (NeurIPS 2020), dynamic program over ideals; A. Pinar, C. Aykanat, "Fast optimal load balancing
// algorithms for 1D partitioning" (JPDC 64, 2004). Streaming is a cost here, not a limit.

/// Objective and limits of the exact search.
struct OptimalOptions {
  // Per stage; 1: a pure pipeline; 0: no limit. It is 1 for models that keep state (keeps_state).
  std::uint32_t max_replicas = 0;
  Objective objective = Objective::kThroughput;
  std::optional<Nanoseconds> max_latency = std::nullopt;  // of one input
};

/// The result of the exact search.
struct OptimalSegmentation {
  Segmentation segmentation;
  std::vector<PoolCounts> devices;  // of each segment
  Nanoseconds bottleneck{0};        // time between two results
  Nanoseconds latency{0};           // of one input
  Bound bound;                      // lower bound of the objective
  std::size_t ideals = 0;           // number of ideals in the search
};

/// Returns the best segmentation that uses at most the devices of the pools. A stage may run on
/// devices of several pools: each device receives inputs in proportion to its speed, and the
/// latency is that of the slowest. If the devices of a pool share a link, the total time that all
/// stages spend on it per input is a lower limit of the bottleneck.
///
/// Ties: fewer devices (of all pools), then fewer stages, then fewer host bytes, then earlier cuts.
/// A search that is not complete (below) settles ties among the candidates that it has.
///
/// Three kinds of input are not searched completely. `bound.is_proven` tells whether the result is
/// optimal nevertheless:
///  - More than 6,000 ideals (NASNet, YOLO). The search runs along four orders: by depth, by file,
///    of Google's rule (so that no other strategy is better), and one in which few bytes cross each
///    cut. It also runs over all ideals outside the widest parts of the graph. The bound is the
///    optimum of a relaxed problem: in a wide part, a cut may have any amount of its work before
///    it, and tensors that cross it cost nothing.
///  - Large graphs (the cuts along these orders above 6,000; 2,000 operators, or 3,000 in a chain).
///    On equal devices the search runs along the same orders, one by one, with a bound of the same
///    kind. Chains are solved exactly.
///  - Searches of more than some seconds. A few horizontal cuts are evaluated, with a bound that is
///    not reached.
///
/// Throws Error(kUnsupported) when even these take too long; Error(kInvalidArgument) for no
/// devices, more than 8 pools, or several pools with more than kMostDeviceChoices choices;
/// Error(kInfeasible) with the smallest possible latency when no plan satisfies `max_latency`.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph,
                                                  std::span<const DevicePool> pools,
                                                  const OptimalOptions& options = {});

/// The same on `count` equal devices that share no link.
[[nodiscard]] OptimalSegmentation segment_optimal(const Graph& graph, const DeviceSpec& device,
                                                  std::uint32_t count,
                                                  const OptimalOptions& options = {});

/// Repeated exact searches of one graph on one kind of device. It keeps the ideals and stage times,
/// which it computes on first use. Each result equals that of segment_optimal. Thread-safe. The
/// graph must outlive it.
class OptimalPlanner {
 public:
  /// Prepares searches for up to `most_devices` devices. `shares_link`: as in DevicePool.
  OptimalPlanner(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                 bool shares_link = false);
  OptimalPlanner(OptimalPlanner&& other) noexcept;
  OptimalPlanner& operator=(OptimalPlanner&& other) noexcept;
  ~OptimalPlanner();

  /// Searches for `count` devices. Throws Error(kInvalidArgument) for more than `most_devices`, and
  /// as segment_optimal.
  [[nodiscard]] OptimalSegmentation segment(std::uint32_t count,
                                            const OptimalOptions& options = {}) const;

 private:
  class Shared;
  std::unique_ptr<Shared> shared_;
};

// --- Topologies

/// Plans a model on at most all devices of a topology: the exact search over convex segmentations,
/// replicas and the nodes of each replica, with the smallest time between two results (or latency)
/// under the law in topology.h. Among equals, the plan with the fewest bytes on links wins, then
/// fewer devices, then fewer stages, so that cuts on the network go where tensors are small.
///
/// For a period, a dynamic program from larger to smaller ideals keeps labels of what the stages
/// behind an ideal use: devices of each pool, busy time of each channel, processor and shared link,
/// latency if it is limited, and the place (share of each node) of the next stage. Only labels of
/// one place are compared, since the boundary before it then costs the same; dominated ones are
/// dropped. A resource is counted once the best pipeline without it exceeds it. Equal leaves of the
/// tree are used in order. The period is bisected from a lower bound, the optimum without a network
/// (equal devices) or that of the work alone, up to the best of simpler searches: Google's cuts in
/// order, a few horizontal cuts, and parts of the topology near the entry. The search counts
/// operators on the host on their devices alone, and predictions also on the processor of the node.
/// If the work ends it, fewer groups, devices and replicas are tried.
///
/// Complexity: for n ideals, p places and l labels per place, O(n^2 * choices of devices * p * l)
/// per period. l is bounded only by the number of ways to spend the devices, so the work is
/// limited, to about a second in all. `bound.is_proven` is false if that, or more than 6,000
/// ideals, ended the search; Bound::value is a lower bound in any case.
///
/// Throws as segment_optimal and open_devices; Error(kInvalidArgument) for more than 8 pools.
[[nodiscard]] Plan plan_on_topology(const Graph& graph, const Topology& topology,
                                    const OptimalOptions& options = {});

/// Places the cuts of Google's compiler (segment_as_vendor) on all devices in the order of the
/// nodes, one segment each. Throws as open_devices, segment_as_vendor and make_plan.
[[nodiscard]] Plan plan_in_order(const Graph& graph, const Topology& topology);

// --- Strategies

/// A plan with the details of the strategy that made it.
struct StrategyPlan {
  Plan plan;
  std::optional<BalancedSegmentation> balanced = std::nullopt;  // kBalanced: cuts and moves
  std::optional<ProfiledSegmentation> profiled = std::nullopt;  // kProfile: measurements
};

class PlanningCache;  // internal: data that repeated plans of one graph share

/// The problem that a strategy solves.
struct StrategyTask {
  const Graph& graph;
  std::span<const DevicePool> pools;  // one pool unless the strategy takes limits
  const OptimalOptions& limits;       // the defaults unless the strategy takes limits
  PlanningCache& cache;               // for the strategies of the library
};

/// A strategy. The command line, Python, plan.json, reports, comparisons and sweeps read the rows
/// of one table, strategy_table(). Callers add strategies with another table:
///
///     std::vector<StrategyRow> rows(strategy_table().begin(), strategy_table().end());
///     rows.push_back({.key = "halves", .summary = "equal operator counts", .plan = halves});
///     PlanRequest request{.pools = open_devices("edgetpu-pcie", 2)};
///     request.strategy = rows.back();
struct StrategyRow {
  std::string_view key;      // lower-case letters, digits and hyphens; in options and files
  std::string_view summary;  // one clause for help texts
  Strategy strategy = Strategy::kCustom;
  // Whether it respects objective, replicas and latency, and plans for unequal devices.
  bool takes_limits = false;
  // Makes the plan, usually with make_plan. Thread-safe. Throws Error(kInfeasible) when there is no
  // plan with so many segments, Error(kUnsupported) when it would take minutes.
  std::function<StrategyPlan(const StrategyTask& task)> plan;
};

/// Returns the strategies of the library: compiler, balanced, profile and optimal.
[[nodiscard]] std::span<const StrategyRow> strategy_table();

/// Returns the row with this key. Throws Error(kInvalidArgument) with all keys.
[[nodiscard]] const StrategyRow& find_strategy(
    std::string_view key, std::span<const StrategyRow> table = strategy_table());

/// Plans a model on the given devices. A strategy that takes limits uses at most the devices of all
/// pools. The others give each device of a single pool one segment and ignore `limits`.
///
/// If the host slows down with several devices (Timing::busy_stretch), kOptimal returns the best of
/// several searches, each for a host of constant speed. Its bound is that of a host at full speed
/// (docs/cost-model.md, "A busy host").
///
/// Throws as check_can_be_planned and as the strategy. Throws Error(kInvalidArgument) for several
/// pools with a strategy that does not take limits.
[[nodiscard]] StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                                            const StrategyRow& strategy,
                                            const OptimalOptions& limits = {});
/// The same with a strategy of the library.
[[nodiscard]] StrategyPlan plan_by_strategy(const Graph& graph, std::span<const DevicePool> pools,
                                            Strategy strategy, const OptimalOptions& limits = {});

/// Repeated planning of one graph on one kind of device. It keeps ideals and segment times between
/// calls. Each plan equals that of plan_by_strategy. Thread-safe. The graph must outlive it.
class StrategyPlanner {
 public:
  /// Prepares plans for up to `most_devices` devices. `shares_link`: as in DevicePool.
  StrategyPlanner(const Graph& graph, const DeviceSpec& device, std::uint32_t most_devices,
                  bool shares_link = false);
  StrategyPlanner(StrategyPlanner&& other) noexcept;
  StrategyPlanner& operator=(StrategyPlanner&& other) noexcept;
  ~StrategyPlanner();

  /// Plans for `count` devices. Throws as plan_by_strategy, and Error(kInvalidArgument) for more
  /// than `most_devices` with kOptimal.
  [[nodiscard]] StrategyPlan plan(std::uint32_t count, const StrategyRow& strategy,
                                  const OptimalOptions& limits = {}) const;
  [[nodiscard]] StrategyPlan plan(std::uint32_t count, Strategy strategy,
                                  const OptimalOptions& limits = {}) const;

 private:
  std::unique_ptr<PlanningCache> cache_;
};

// --- Requests: goals, number of devices, measurements

/// How kProfile searches for its cuts (segmentation.h).
enum class ProfileSearch { kExact, kBisection, kExhaustive };
/// Parses "exact", "bisection" or "exhaustive". Throws Error(kInvalidArgument) for any other text.
[[nodiscard]] ProfileSearch parse_profile_search(std::string_view text);

/// How many devices `plan_model` uses.
enum class DeviceCount {
  kAll,      // those of the pools (kOptimal: at most)
  kFewest,   // the fewest that reach the goals, up to the count of the single pool
  kWorthIt,  // until one more device adds less than `least_gain`, up to the count of the pool
};

/// What to plan. The defaults plan with kOptimal on all devices.
struct PlanRequest {
  std::vector<DevicePool> pools;
  // Devices of several computers, instead of `pools`; requires kOptimal on all devices.
  std::optional<Topology> topology = std::nullopt;
  StrategyRow strategy = find_strategy("optimal");
  OptimalOptions limits = {};  // `max_latency` is a goal for every strategy
  std::optional<double> least_throughput_per_s = std::nullopt;  // sustained on shared links
  // Decoding of the model's outputs on the host (Detector::work), which plans and goals include.
  std::optional<DecodingWork> decoding = std::nullopt;
  DeviceCount count = DeviceCount::kAll;
  double least_gain = 0.1;  // kWorthIt: relative gain in throughput
  // For kProfile.
  ProfileSearch search = ProfileSearch::kExact;
  // Makes the measurement of segments while `count` devices are busy (measured_latency in
  // runtime.h). Empty: simulated latencies.
  std::function<SegmentLatency(std::uint32_t count)> measure = nullptr;
  // For kBalanced: refine the cuts with this compiler (refine_balanced), at most `most_questions`
  // segments. The plan then has its byte counts. Must outlive the call.
  const Compiler* refines = nullptr;
  std::uint64_t most_questions = 200;
};

/// Why plan_model stopped adding devices.
struct CountChoice {
  enum class Reason {
    kReachesGoals,    // the fewest devices that do
    kNoMoreSegments,  // the model cannot be split further
    kNoGain,          // one more device would not increase throughput
    kLittleGain,      // one more device would increase it by less than `least_gain`
    kLimit,           // the count of the pool
  };
  Reason reason{};
  double gain = 0;  // relative gain of one more device; for kNoGain and kLittleGain
  // The throughput of kOptimal on one more device, if it is worth it and the strategy is another.
  std::optional<double> optimal_per_s = std::nullopt;
};

/// A plan, and how it was found.
struct PlanResult {
  Plan plan;
  std::vector<DevicePool> pools;  // those of the plan
  std::optional<BalancedSegmentation> balanced = std::nullopt;
  std::optional<ProfiledSegmentation> profiled = std::nullopt;
  std::optional<CountChoice> choice = std::nullopt;  // not set for kAll
  // Throughput with first-come, first-served arbitration of shared links, which the plan does not
  // model. Equal to the plan's without shared links.
  double sustained_per_s = 0;
};

/// Throws Error(kInvalidArgument) when a request contradicts itself or has no devices.
void check_request(const PlanRequest& request);

/// Plans a model. The command line and Python use this function. Throws as plan_by_strategy and as
/// the measurement and the compiler; as check_request; Error(kInfeasible) with the nearest result
/// when the goals are not reached.
[[nodiscard]] PlanResult plan_model(const Graph& graph, const PlanRequest& request);

/// Returns the goals of a request in words: "100 results per second with a latency of at most
/// 30 ms". Empty if there are none.
[[nodiscard]] std::string goals_text(const PlanRequest& request);

/// Returns the throughput of a plan with first-come, first-served arbitration of shared links
/// (simulate_timeline).
[[nodiscard]] double sustained_per_s(const Plan& plan, std::span<const DevicePool> pools);

// --- Comparison of strategies

/// One row of a comparison: a plan for at most `tpus` devices.
struct ComparedPlan {
  std::uint32_t tpus = 0;
  Plan plan;
};

/// The largest number of devices in a comparison. More would take hours, and no card has as many.
inline constexpr std::uint32_t kMostComparedTpus = 64;

/// Receives the number of completed steps and of all steps.
using ProgressFunction = std::function<void(std::uint64_t done, std::uint64_t all)>;

/// Settings of a comparison.
struct CompareOptions {
  std::uint32_t max_replicas = 0;                       // for kOptimal, as in OptimalOptions
  bool shares_link = false;                             // as in DevicePool
  std::optional<DecodingWork> decoding = std::nullopt;  // as in PlanRequest
  std::uint32_t threads = 0;                            // 0: one per core; does not change the rows
  ProgressFunction progress = nullptr;  // called after each plan, on the calling thread
  std::span<const StrategyRow> strategies = strategy_table();
};

/// Plans with all `strategies` on `first` to `last` equal devices. Rows are ordered by number of
/// devices, then as in `strategies`. A combination without a plan, because the model has too few
/// operators or depths or is too large for an exact search, has no row. Throws
/// Error(kInvalidArgument) unless 1 <= first <= last <= kMostComparedTpus, and as
/// check_can_be_planned.
[[nodiscard]] std::vector<ComparedPlan> compare_strategies(const Graph& graph,
                                                           const DeviceSpec& device,
                                                           std::uint32_t first, std::uint32_t last,
                                                           const CompareOptions& options = {});

/// Returns whether a row is on the Pareto front of throughput, latency and TPUs used: no other row
/// is at least as good in all three and better in one. O(rows).
[[nodiscard]] bool is_on_front(const ComparedPlan& row, std::span<const ComparedPlan> rows);

// --- Verification of proofs
//
// The certificate of a plan is its `bound`: a value, the limits under which it holds, and whether
// the plan reaches it. The checker shares only the times of single segments, and of boundaries on a
// network, with the planner. It enumerates the ideals of the graph itself, asks the simulated
// compiler and the simulator for every segment that its work does not rule out, and searches for a
// pipeline below the bound with a plain dynamic program. It is short rather than fast: up to a
// second for ResNets, about a minute for InceptionV4.

/// The result of a check.
struct CertificateVerdict {
  bool is_accepted = false;
  std::string reason;          // what was checked, or what is wrong
  std::size_t ideals = 0;      // of the graph; 0 if they were not needed
  std::uint64_t segments = 0;  // segments whose times were computed
};

/// Limits of the checker's work. They prevent a crafted plan from keeping it busy for hours.
struct CertificateLimits {
  std::size_t ideals = 6000;  // above, a relaxed problem is searched
  /// One unit for each operator visited, 20 for each operator of a segment that is timed, and one
  /// for each pair of partial pipelines compared. The default is some minutes; InceptionV4 needs
  /// half.
  std::uint64_t work = 20'000'000'000;
};

/// Accepts a plan if its numbers follow from its stages on these devices, it satisfies the limits
/// of its bound, and no pipeline within these limits is below the bound. For a graph with more
/// ideals than `limits.ideals`, the last condition is checked for a relaxed problem: where the
/// graph is widest, a cut may have any amount of the work there before it, and tensors that cross
/// it cost nothing. A plan without a bound is rejected. O(ideals^2) segments.
///
/// Throws as make_plan, Error(kInvalidArgument) for pools with more than kMostDeviceChoices
/// choices, and Error(kUnsupported) when neither the search nor the sum of all work decides, or
/// when the work exceeds the limit.
[[nodiscard]] CertificateVerdict check_certificate(const Plan& plan, const Graph& graph,
                                                   std::span<const DevicePool> pools,
                                                   const CertificateLimits& limits = {});

}  // namespace segue
