/// Plans: which operators run on which stage and device, with all predicted numbers.
///
/// A strategy chooses a Segmentation; `make_plan` turns it into a Plan with memory, times, ranges,
/// throughput and latency. A plan can be written, edited by hand and read again: `evaluate_plan`
/// recomputes its numbers.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet50.tflite");
///     const segue::Graph graph(model);
///     const segue::DeviceSpec& device = segue::find_device("edgetpu-pcie");
///     const auto compiler = segue::make_simulated_compiler(device);
///     const segue::Segmentation halves{{graph.operators_between(1, 35),
///                                       graph.operators_between(36, graph.depth())}};
///     const segue::Plan plan =
///         segue::make_plan(graph, halves, *compiler, device, segue::Strategy::kManual);
///     std::printf("%.1f inferences/s\n", plan.predicted.throughput_per_s);
///
/// File format of plan.json: schema "segue.plan/2", UTF-8, keys in a fixed order
/// (docs/schemas/segue.plan.2.json):
///
///     schema
///     model     {name, sha256, operator_count, parameter_bytes, macs, depth}
///     device    name of the device; for unequal devices or a shared link in the form of
///               open_devices: "2xedgetpu-usb3:shared,2xedgetpu-pcie"
///     strategy  "compiler" | "balanced" | "profile" | "optimal" | "manual", or the key of a
///               strategy outside the library
///     objective "throughput" | "latency"
///     stages    [ {index, operators [positions in the file], first_depth, last_depth,
///                inputs [tensor names], outputs [tensor names], parameter_bytes, on_chip_bytes,
///                host_bytes, macs, input_bytes, output_bytes, replicas, host_operators,
///                time_ns {compute, input, output, streaming, fixed, host, total,
///                hidden_streaming, output_on_link}, time_range_ns [low, high],
///                devices [ {pool, replicas, time_ns, time_range_ns,      (several pools only)
///                           node (name; plans for a topology only)} ],
///                compiled {compiler, simulated_on_chip_bytes, simulated_host_bytes,
///                          operators_on_host}} ]           (compiled by edgetpu_compiler only)
///     predicted {bottleneck_ns, bottleneck_range_ns, latency_ns, latency_range_ns,
///                throughput_per_s, throughput_range_per_s, single_device_ns, speedup}
///     bound     {bottleneck_ns, proven, tpus, max_replicas, max_latency_ns (optional)}
///                                                                  (strategy "optimal" only)
///     measured_host [ {operator, ns} ]             (only if operators on the host were measured)
///     decoding  {family, boxes, scores, time_ns, time_range_ns}
///                                                  (only if the plan includes it, decoding.h)
///     network   {topology (as in a topology file), boundary_bytes [stages + 1],
///                links [ {between [names], bytes_per_input [there, back],
///                         busy [there, back] (share of the time)} ]}
///                                                                  (plans for a topology only)
///
/// In a stage with `compiled`, on_chip_bytes, host_bytes and the operators on the host are those of
/// the compiler. All other byte counts on a device, and all times, are simulated. A bound is never
/// proven when operators run on the host, because their times are estimates.
///
/// A reader rejects unknown and missing keys by their path. It also accepts "segue.plan/1", which
/// has no `host` and no `host_operators`, and plans without ranges.
///
/// Thread-safety: all types are plain values and all functions are pure.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "segue/cost.h"
#include "segue/decoding.h"
#include "segue/graph.h"
#include "segue/topology.h"

namespace [[gnu::visibility("default")]] segue {

// --- Strategy and objective

/// How the segments of a plan were chosen (docs/segmentation.md).
enum class Strategy {
  kCompiler,  // Segm_Comp: the rule of edgetpu_compiler --num_segments
  kBalanced,  // Segm_Balanced: minimizes the largest segment, then the streamed bytes
  kProfile,   // Segm_Prof: the best horizontal cuts by the latencies of candidates
  kOptimal,   // the exact search over segmentations and replicas
  kManual,    // given by the caller, or an edited plan
  kCustom     // a strategy outside the library (StrategyRow in planner.h); Plan::custom_strategy
};

/// The key of a strategy in options, files and reports.
struct StrategyName {
  Strategy strategy{};
  std::string_view key;
};
inline constexpr std::array kStrategyNames{
    StrategyName{Strategy::kCompiler, "compiler"}, StrategyName{Strategy::kBalanced, "balanced"},
    StrategyName{Strategy::kProfile, "profile"}, StrategyName{Strategy::kOptimal, "optimal"},
    StrategyName{Strategy::kManual, "manual"}};

/// Returns the key: "compiler", "balanced", "profile", "optimal", "manual" or "custom".
[[nodiscard]] std::string_view to_string(Strategy strategy);

/// The quantity that a plan minimizes.
enum class Objective {
  kThroughput,  // the time between two results
  kLatency      // the time of one input through all stages
};

/// Returns "throughput" or "latency".
[[nodiscard]] std::string_view to_string(Objective objective);
/// Returns the objective of this name. Throws Error(kInvalidArgument) for any other text.
[[nodiscard]] Objective parse_objective(std::string_view text);

// --- Parts of a plan

/// A lower bound of the objective over all segmentations within the given limits.
struct Bound {
  Nanoseconds value{0};
  // The plan reaches `value`, so it is optimal. For pure pipelines of graphs with more than 6000
  // ideals: optimal within 10 ns (rounding).
  bool is_proven = false;
  std::uint32_t devices = 0;       // at most
  std::uint32_t max_replicas = 0;  // per stage; 0: no limit
  std::optional<Nanoseconds> max_latency = std::nullopt;
};

/// The model of a plan.
struct PlanModel {
  std::string name;
  std::string sha256;  // of the .tflite file
  std::uint64_t operator_count = 0;
  std::uint64_t parameter_bytes = 0;
  std::uint64_t macs = 0;
  std::uint32_t depth = 0;
};

/// The devices of one pool that run a stage.
struct StageDevices {
  std::uint32_t pool = 0;  // position in the list of pools
  std::uint32_t replicas = 1;
  SegmentTime time;                               // of one input on one of these devices
  std::optional<TimeRange> range = std::nullopt;  // of `time.total()`; not in files without ranges
};

/// The report of edgetpu_compiler on one segment.
struct CompiledMemory {
  std::uint64_t on_chip_bytes = 0;
  std::uint64_t host_bytes = 0;
  std::string compiler;  // its version: "16.0.384591198"
  // Operators that it left to the host, in file order. Not set: it does not report them.
  std::optional<std::vector<OperatorId>> host_operators = std::nullopt;
};

/// Marks a stage whose byte counts are those of a compiler, and keeps the simulated ones.
struct CompiledStage {
  std::string compiler;
  std::uint64_t simulated_on_chip_bytes = 0;
  std::uint64_t simulated_host_bytes = 0;
  // Operators left to the host, by position in the whole model. Not set: not reported.
  std::optional<std::vector<OperatorId>> host_operators = std::nullopt;
};

/// A segment with its devices and predicted costs.
struct Stage {
  std::vector<OperatorId> operators;  // in file order
  std::uint32_t first_depth = 0;
  std::uint32_t last_depth = 0;
  std::vector<std::string> inputs;    // tensors that the stage reads, in the order of its file
  std::vector<std::string> outputs;   // tensors that later stages or the caller read
  std::uint64_t parameter_bytes = 0;  // as stored in the model
  std::uint64_t on_chip_bytes = 0;    // cached in the device
  std::uint64_t host_bytes = 0;       // streamed at each inference
  std::uint64_t macs = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint32_t replicas = 1;  // devices of all pools
  SegmentTime time;            // of one input on the slowest device, without the hop
  std::optional<TimeRange> range = std::nullopt;  // of `time.total()`; not in files without ranges
  std::vector<StageDevices> devices;              // per pool if there are several, otherwise empty
  std::optional<CompiledStage> compiled = std::nullopt;
};

/// A range of throughputs, in results per second.
struct RateRange {
  double low = 0;
  double high = 0;
};

/// Ranges of a prediction (cost.h, "Uncertainty"). The latency adds the ends of the stages' ranges,
/// as if all stages had the same relative error. The bottleneck's low end assumes the low end of
/// every stage, link and host. At its high end, a host that serves several devices also takes
/// kMostHostStretch times as long for its share of outputs, unless the device states its own
/// `busy_stretch` (docs/cost-model.md, "Ranges").
struct PredictionRange {
  TimeRange bottleneck;
  TimeRange latency;
  /// 1 / bottleneck; an end is 0 if its time is 0.
  [[nodiscard]] RateRange throughput_per_s() const;
  friend bool operator==(const PredictionRange&, const PredictionRange&) = default;
};

/// Performance on a stream of inputs, computed from the times of the stages (docs/cost-model.md,
/// "Pipelines"), and of decoding, if the plan includes it.
struct Prediction {
  Nanoseconds bottleneck{0};     // time between two results: slowest stage, shared link or host
  Nanoseconds latency{0};        // of one input through all stages, hops and decoding included
  double throughput_per_s = 0;   // results
  Nanoseconds single_device{0};  // one inference of the whole model on the fastest device
  double speedup = 0;            // single_device / bottleneck
  std::optional<PredictionRange> range = std::nullopt;  // not set if a stage has none
};

// --- Network

/// The network of a plan for a topology (topology.h). The pools of the plan are those of
/// open_devices(topology).
struct PlanNetwork {
  Topology topology;
  std::vector<std::uint64_t> boundary_bytes;  // per input: at the entry, between stages, at the end
};

// --- Plan

/// A partition of a model into stages on devices, with its predictions.
struct Plan {
  PlanModel model;
  std::vector<PoolName> devices;  // a single pool has no count
  Strategy strategy = Strategy::kManual;
  std::string custom_strategy;  // the key of a strategy that is kCustom, otherwise empty
  Objective objective = Objective::kThroughput;
  std::vector<Stage> stages;
  Prediction predicted;
  std::optional<Bound> bound = std::nullopt;  // strategy "optimal" only
  // Measured times of operators on the host, by operator position (measured_host in runtime.h).
  // Operators without an entry have estimated times.
  std::map<std::uint32_t, Nanoseconds> measured_host = {};
  // Decoding of the outputs on the host, as a last stage (with_decoding).
  std::optional<Decoding> decoding = std::nullopt;
  std::optional<PlanNetwork> network = std::nullopt;  // plans for a topology only

  // Sums over all stages: replicas, streamed bytes, operators on the host, and their time per
  // input.
  [[nodiscard]] std::uint32_t device_count() const;
  [[nodiscard]] std::uint64_t host_bytes() const;
  [[nodiscard]] std::uint32_t host_operators() const;
  [[nodiscard]] Nanoseconds host_time() const;
  [[nodiscard]] std::uint64_t largest_stage_parameter_bytes() const;
  // The key of the strategy and the devices, for files and reports.
  [[nodiscard]] std::string strategy_key() const;
  [[nodiscard]] std::string device_text() const;
};

// --- Making plans

/// Makes the plan of a segmentation on equal devices. `replicas` has one number per segment; empty
/// means one device each. The model is not hashed: `model.sha256` is empty until `identify_model`.
/// Throws as check_segmentation.
[[nodiscard]] Plan make_plan(const Graph& graph, const Segmentation& segmentation,
                             const Compiler& compiler, const DeviceSpec& device, Strategy strategy,
                             std::span<const std::uint32_t> replicas = {});

/// Makes the plan of a segmentation on pools of devices, with simulated compilers. `devices` has a
/// count per pool for each segment. Throws as check_segmentation, and Error(kInvalidArgument) when
/// a stage has no device or the stages need more devices than a pool has.
[[nodiscard]] Plan make_plan(const Graph& graph, const Segmentation& segmentation,
                             std::span<const DevicePool> pools, Strategy strategy,
                             std::span<const PoolCounts> devices);

/// The same for the devices of a topology. Throws as open_devices too.
[[nodiscard]] Plan make_plan(const Graph& graph, const Segmentation& segmentation,
                             const Topology& topology, Strategy strategy,
                             std::span<const PoolCounts> devices);

/// Returns `pools` with the plan's measured times of operators on the host.
[[nodiscard]] std::vector<DevicePool> with_measured_host(const Plan& plan,
                                                         std::span<const DevicePool> pools);

/// Recomputes a plan that was read from a file. The operators of each stage, their devices and the
/// strategy are inputs; every number is computed. If stages, bottleneck, latency or bound in
/// the file differ from the result, the plan was edited: the strategy becomes "manual" and the
/// bound is dropped. Figures of edgetpu_compiler are kept for stages whose segment is unchanged.
/// Throws Error(kInvalidArgument) when the plan belongs to another model or is invalid, and as
/// check_static_shapes.
[[nodiscard]] Plan evaluate_plan(const Plan& plan, const Graph& graph,
                                 std::span<const DevicePool> pools);

/// Returns the plan with decoding on the host as a last stage: `predicted` and `bound` include it.
/// Decoding occupies one of the host's cores and adds its time to the latency. It takes the same
/// time for all segmentations. The best segmentation without decoding is therefore also the best
/// with decoding, unless the operators on the host and decoding together are the bottleneck; such a
/// plan does not reach its bound. Replaces decoding that the plan already has.
[[nodiscard]] Plan with_decoding(Plan plan, const DecodingWork& work,
                                 std::span<const DevicePool> pools);
/// Returns the plan without decoding and without a bound.
[[nodiscard]] Plan without_decoding(Plan plan, std::span<const DevicePool> pools);

/// Updates `predicted` after a change of the stages' times or replicas.
void update_prediction(Plan& plan, std::span<const DevicePool> pools);

/// Returns the plan with the reports of edgetpu_compiler in place of the simulated ones: byte
/// counts, operators on the host, and times that follow from both. `segments` are the models of the
/// stages, whose operators the reports name; `pools` are those of the plan. If a prediction
/// changes, the bound is dropped, because it was computed for the simulated numbers. Throws
/// Error(kInvalidArgument) unless there is one segment and one report per stage, and as devices_of.
[[nodiscard]] Plan with_compiled_memory(const Plan& plan, std::span<const Model> segments,
                                        std::span<const CompiledMemory> memory,
                                        std::span<const DevicePool> pools);

/// The same with the graph of the whole model, whose operators the reports name.
[[nodiscard]] Plan with_compiled_memory(const Plan& plan, const Graph& graph,
                                        std::span<const CompiledMemory> memory,
                                        std::span<const DevicePool> pools);

// --- Parts of a plan, as arguments of other functions

/// Returns, for each stage, the number of devices of each of `pools` pools. Throws
/// Error(kInvalidArgument) when a stage names a pool that does not exist, or names none although
/// there are several.
[[nodiscard]] std::vector<PoolCounts> devices_of(const Plan& plan, std::size_t pools);

/// What a link carries in one direction, for a plan with a network.
struct LinkTraffic {
  std::size_t link = 0;    // position in the topology
  bool is_forward = true;  // from the link's node `a` to `b`
  double bytes_per_input = 0;
  double busy = 0;  // share of the time that its channel is busy, with all its traffic
};
/// Returns the traffic of all links, both directions of each. Empty without a network.
[[nodiscard]] std::vector<LinkTraffic> link_traffic(const Plan& plan);

/// Sets `plan.model.sha256` to the hash of the model's file. O(file size).
void identify_model(Plan& plan, const Model& model);

/// Returns the number of devices of each stage.
[[nodiscard]] std::vector<std::uint32_t> replicas_of(const Plan& plan);

/// Returns the operators of each stage.
[[nodiscard]] Segmentation segmentation_of(const Plan& plan);

// --- Files

/// Returns the text of plan.json.
[[nodiscard]] std::string to_json(const Plan& plan);

/// Parses the text of plan.json. `label` names the source in messages. Throws
/// Error(kInvalidArgument) with the path of the invalid key ("stages[2].operators[0]") and the
/// expected value.
[[nodiscard]] Plan parse_plan(std::string_view text, const std::string& label);

/// Reads a plan file. Throws Error(kIo), and as parse_plan.
[[nodiscard]] Plan read_plan(const std::filesystem::path& path);

// --- Checks

/// Throws Error(kInvalidArgument) when the plan is inconsistent, as after an edit: an operator is
/// in two stages or in none, or predictions do not follow from the times of the stages. Needs no
/// model. The time on a shared link is not in the plan and is not checked.
void check_plan_consistent(const Plan& plan, std::span<const DevicePool> pools);

/// Throws Error(kInvalidArgument) when the plan was made for another model. Compares the hash of
/// the file, or the name and sizes if the plan has no hash. Throws Error(kUnsupported) when a stage
/// that keeps state (keeps_state) has replicas.
void check_plan_matches(const Plan& plan, const Model& model);

}  // namespace segue
