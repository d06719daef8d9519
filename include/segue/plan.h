/// A plan: which operators run on which stage, with every number the layers below predict of them.
///
/// plan.json is its file form: schema "segue.plan/2", UTF-8, keys in a fixed order, meant to be
/// read and edited by hand. Keys, all required:
///   schema
///   model     {name, sha256, operator_count, parameter_bytes, macs, depth}
///   device    name of the device the numbers were computed for; where they are unequal or share a
///             link, as open_devices reads them: "2xedgetpu-usb3:shared,2xedgetpu-pcie"
///   strategy  "compiler" | "balanced" | "profile" | "optimal" | "manual"
///   objective "throughput" | "latency"
///   stages    [ {index, operators [positions in the file], first_depth, last_depth,
///              inputs [tensor names], outputs [tensor names], parameter_bytes, on_chip_bytes,
///              host_bytes, macs, input_bytes, output_bytes, replicas, host_operators,
///              time_ns {compute, input, output, streaming, fixed, host, total,
///              hidden_streaming, output_on_link},
///              time_range_ns [low, high],
///              devices [ {pool, replicas, time_ns, time_range_ns} ], only where there are several
///              pools} ]
///   predicted {bottleneck_ns, bottleneck_range_ns, latency_ns, latency_range_ns, throughput_per_s,
///              throughput_range_per_s, single_device_ns, speedup}
///   bound     {bottleneck_ns, proven, tpus, max_replicas, max_latency_ns (optional)}, only of
///             "optimal": what no plan on so many TPUs, with so many replicas of a stage (0: any),
///             can beat under the objective, and whether this one reaches it; never proven where
///             operators run on the host, since their times are estimates
/// A stage whose segment Google's compiler has compiled has one key more,
///   compiled  {compiler, simulated_on_chip_bytes, simulated_host_bytes,
///              operators_on_host [positions in the file]}
/// and its on_chip_bytes and host_bytes are then the compiler's, and its operators on the host
/// those that the compiler left there (a file without this list: those that are simulated there).
/// All other byte counts on a device, and all times, are simulated. A reader refuses unknown and
/// missing keys by their path. It takes "segue.plan/1", too, which has no `host` and no
/// `host_operators`, and plans of either version without ranges.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "segue/cost.h"
#include "segue/graph.h"

namespace [[gnu::visibility("default")]] segue {

/// How the segments of a plan were chosen.
enum class Strategy {
  kCompiler,  // as edgetpu_compiler --num_segments does
  kBalanced,  // the smallest largest segment, then nothing streams
  kProfile,   // the best horizontal cuts by the times of candidates
  kOptimal,   // stages and replicas, proven best in time
  kManual     // by hand, or edited
};

/// A strategy's key in plan.json and options, and its title in reports. A new strategy has a row
/// here: commands, files, reports, comparisons and Python read the names from it.
struct StrategyName {
  Strategy strategy{};
  std::string_view key;
  std::string_view title;
};
inline constexpr std::array kStrategyNames{
    StrategyName{Strategy::kCompiler, "compiler", "Segm_Comp"},
    StrategyName{Strategy::kBalanced, "balanced", "Segm_Balanced"},
    StrategyName{Strategy::kProfile, "profile", "Segm_Prof"},
    StrategyName{Strategy::kOptimal, "optimal", "Optimal"},
    StrategyName{Strategy::kManual, "manual", "Cuts by hand"}};

/// The key: "compiler", "balanced", "profile", "optimal", "manual".
[[nodiscard]] std::string_view to_string(Strategy strategy);
[[nodiscard]] std::string_view title_of(Strategy strategy);

/// What a plan is to be best at.
enum class Objective {
  kThroughput,  // smallest time between two results
  kLatency      // smallest time of one input through all stages
};

/// "throughput" or "latency".
[[nodiscard]] std::string_view to_string(Objective objective);
/// Throws Error(kInvalidArgument) for another text.
[[nodiscard]] Objective parse_objective(std::string_view text);

/// What no segmentation within these limits can beat, and whether the one given reaches it.
struct Bound {
  Nanoseconds value{0};
  bool is_proven = false;  // value is what the segmentation reaches: it is optimal (for pure
                           // pipelines of more than 6000 ideals: but for 10 ns of rounding)
  std::uint32_t devices = 0;
  std::uint32_t max_replicas = 0;  // 0: no limit
  std::optional<Nanoseconds> max_latency = std::nullopt;
};

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
  SegmentTime time;
  std::optional<TimeRange> range = std::nullopt;  // of its total; none in files without ranges
};

/// What Google's compiler reports of a segment.
struct CompiledMemory {
  std::uint64_t on_chip_bytes = 0;
  std::uint64_t host_bytes = 0;
  std::string compiler;  // its version: "16.0.384591198"
  /// What it left to the host's processor, in file order; none where it does not say.
  std::optional<std::vector<OperatorId>> host_operators = std::nullopt;
};

/// That a stage's bytes on chip and from host are a compiler's, and what was simulated instead.
struct CompiledStage {
  std::string compiler;
  std::uint64_t simulated_on_chip_bytes = 0;
  std::uint64_t simulated_host_bytes = 0;
  /// Of the whole model; none in plans of compilers that do not say.
  std::optional<std::vector<OperatorId>> host_operators = std::nullopt;
};

struct Stage {
  std::vector<OperatorId> operators;  // in file order
  std::uint32_t first_depth = 0;
  std::uint32_t last_depth = 0;
  std::vector<std::string> inputs;   // tensors the stage reads, in the order of its segment file
  std::vector<std::string> outputs;  // tensors it gives to later stages or to the caller
  std::uint64_t parameter_bytes = 0;
  std::uint64_t on_chip_bytes = 0;
  std::uint64_t host_bytes = 0;
  std::uint64_t macs = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint32_t replicas = 1;  // of all pools
  SegmentTime time;            // of one input on one device, the slowest; the hop not included
  std::optional<TimeRange> range = std::nullopt;  // of its total; none in files without ranges
  std::vector<StageDevices> devices;              // where there are several pools; else empty
  std::optional<CompiledStage> compiled = std::nullopt;
};

/// How often results come, by the range of the time between two; per second.
struct RateRange {
  double low = 0;
  double high = 0;
};

/// How sure a prediction is (segue/cost.h). The latency adds up the ends of its stages, as
/// if all erred alike. The time between two results is shortest where every stage, link and host
/// takes its shortest; at the longest, a host that serves several devices also takes
/// kMostHostStretch times as long for its share of outputs, unless its device says how long.
struct PredictionRange {
  TimeRange bottleneck;
  TimeRange latency;
  [[nodiscard]] RateRange throughput_per_s() const;  // 0 where a time is
  friend bool operator==(const PredictionRange&, const PredictionRange&) = default;
};

/// What the times of the stages mean for a stream of inputs (docs/cost-model.md, "Pipelines").
struct Prediction {
  Nanoseconds bottleneck{0};     // between two results: slowest stage, shared link, or host
  Nanoseconds latency{0};        // of one input through all stages
  double throughput_per_s = 0;   // results
  Nanoseconds single_device{0};  // one inference of the whole model on the fastest device
  double speedup = 0;            // single_device / bottleneck
  std::optional<PredictionRange> range = std::nullopt;  // none where a stage has none
};

struct Plan {
  PlanModel model;
  std::string device;
  Strategy strategy = Strategy::kManual;
  Objective objective = Objective::kThroughput;
  std::vector<Stage> stages;
  Prediction predicted;
  std::optional<Bound> bound = std::nullopt;  // strategy "optimal" only
  /// Times of operators on the host, by position, where they were measured (measured_host) and not
  /// estimated.
  std::map<std::uint32_t, Nanoseconds> measured_host = {};

  [[nodiscard]] std::uint32_t device_count() const;  // replicas of all stages
  [[nodiscard]] std::uint64_t host_bytes() const;
  [[nodiscard]] std::uint32_t host_operators() const;  // of all stages
  [[nodiscard]] Nanoseconds host_time() const;         // of all stages, for one input
  [[nodiscard]] std::uint64_t largest_stage_parameter_bytes() const;
};

/// Describes a segmentation on equal devices. Does not hash the model: `model.sha256` stays empty
/// until `identify_model`. `replicas`, when given, has one number per segment. Throws as
/// check_segmentation.
[[nodiscard]] Plan make_plan(const Graph& graph, const Segmentation& segmentation,
                             const Compiler& compiler, const DeviceSpec& device, Strategy strategy,
                             std::span<const std::uint32_t> replicas = {});

/// Describes a segmentation on pools of devices, as the simulated compiler lays each segment out.
/// `devices` has for each segment a count per pool. Throws as check_segmentation, and
/// Error(kInvalidArgument) where a stage has no device or a pool not as many.
[[nodiscard]] Plan make_plan(const Graph& graph, const Segmentation& segmentation,
                             std::span<const DevicePool> pools, Strategy strategy,
                             std::span<const PoolCounts> devices);

/// The devices with the plan's measured times of operators on the host.
[[nodiscard]] std::vector<DevicePool> with_measured_host(const Plan& plan,
                                                         std::span<const DevicePool> pools);

/// A plan read from a file, made anew for its model: the operators of each stage, their devices
/// and the strategy's name decide, every number is computed. Where numbers in the file differ from
/// those, they were edited, and the strategy becomes "manual". A compiler's figures are kept with
/// stages that still are what was compiled. Throws Error(kInvalidArgument) when
/// the plan is of another model or illegal.
[[nodiscard]] Plan evaluate_plan(const Plan& plan, const Graph& graph,
                                 std::span<const DevicePool> pools);

/// Makes the predictions anew from the times and replicas of the stages, as after an edit of those.
void predict_anew(Plan& plan, std::span<const DevicePool> pools);

/// The plan with a compiler's report of each stage in place of the simulated one: bytes, operators
/// on the host, and times simulated with those. `segments` are the models of the stages, to which
/// the reports' operators belong; `pools` those the plan is for. Where that changes a prediction,
/// the bound of "optimal", which was proven for the simulated ones, is left out. Throws
/// Error(kInvalidArgument) where there is not one of each per stage, and as devices_of.
[[nodiscard]] Plan with_compiled_memory(const Plan& plan, std::span<const Model> segments,
                                        std::span<const CompiledMemory> memory,
                                        std::span<const DevicePool> pools);

/// The same with the graph of the whole model, to which the reports' operators belong.
[[nodiscard]] Plan with_compiled_memory(const Plan& plan, const Graph& graph,
                                        std::span<const CompiledMemory> memory,
                                        std::span<const DevicePool> pools);

/// For each stage, how many devices of each of `pools` pools run it. Throws Error(kInvalidArgument)
/// where a stage names a pool that does not exist, or none although there are several.
[[nodiscard]] std::vector<PoolCounts> devices_of(const Plan& plan, std::size_t pools);

/// Fills in the hash of the model's file.
void identify_model(Plan& plan, const Model& model);

/// The number of devices of each stage.
[[nodiscard]] std::vector<std::uint32_t> replicas_of(const Plan& plan);

/// The operators of each stage.
[[nodiscard]] Segmentation segmentation_of(const Plan& plan);

[[nodiscard]] std::string to_json(const Plan& plan);

/// `label` names the source in messages. Throws Error(kInvalidArgument) with the path of the
/// offending key ("stages[2].operators[0]") and what was expected there.
[[nodiscard]] Plan parse_plan(std::string_view text, const std::string& label);

/// Reads a plan file. Throws Error(kIo), and as parse_plan.
[[nodiscard]] Plan read_plan(const std::filesystem::path& path);

/// Throws Error(kInvalidArgument) when the plan contradicts itself, as after an edit: operators
/// that are in two stages or in none, or predictions that do not follow from the times of its
/// stages. Needs no model. What goes through a shared link is not in the plan and not checked.
void check_plan_consistent(const Plan& plan, std::span<const DevicePool> pools);

/// Throws Error(kInvalidArgument) when the plan was made for another model: by the hash of its
/// file, or, for a plan just made that has none, by its name and sizes.
void check_plan_matches(const Plan& plan, const Model& model);

}  // namespace segue
