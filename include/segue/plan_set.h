/// Plans for a set of models that share the Edge TPUs of one computer.
///
/// `plan_set` decides which models have TPUs of their own and which share some, how each model is
/// cut, and in which order models that share a TPU receive its memory. The plan is exact: no other
/// assignment of the space below is better under the simulator's times.
///
/// Example:
///
///     const segue::Model a = segue::read_model("detector.tflite");
///     const segue::Model b = segue::read_model("classifier.tflite");
///     const segue::Graph detector(a);
///     const segue::Graph classifier(b);
///     segue::SetRequest request{.pool = segue::open_devices("2xedgetpu-pcie", 0)[0]};
///     request.demands = {{.name = "detector", .rate_per_s = 30}, {.name = "classifier"}};
///     const std::vector<const segue::Graph*> graphs{&detector, &classifier};
///     const segue::SetPlan plan = segue::plan_set(graphs, request);
///     std::printf("%.1f classifications/s\n", plan.models[1].rate_per_s);
///
/// Space. The models are divided into groups, and each group gets TPUs of its own.
///
///  - A group of one model runs its optimal plan on k TPUs, with replicas (planner.h).
///  - In a group of several models on g TPUs, each model is cut into d stages, where d divides g,
///    and has g / d copies: TPU t runs stage t mod d. Candidates for the cuts are those of the
///    optimal pipeline without replicas and those of strategy balanced. All models of the group are
///    either co-compiled on each TPU, in one order for the group, or swapped.
///
/// The search compares all divisions, numbers of TPUs, cuts and orders. It skips only what a bound
/// or another candidate excludes. Plans with separate TPUs for all models are in the space, so no
/// division by hand into optimal plans is better.
///
/// Memory. Models that edgetpu_compiler compiles in one call share a caching token. The first model
/// of the call gets the memory that it needs, the next ones get the rest (documented by coral.ai,
/// "Co-compiling multiple models"). Which layers stay on chip follows the rule of a single segment
/// with the room that is left, and the reserve for the running layer is that of the model with the
/// largest one (inferred; docs/cost-model.md, "Several models"). Models with different tokens are
/// swapped: the first inference after another model sends all on-chip parameters again
/// (documented). The plan assumes that after every inference another model follows.
///
/// Rates. On each TPU, the sum over its models of rate times time is at most 1 - headroom. The same
/// holds for a link that all TPUs share, and for the cores of the host.
///
/// Latency. A TPU serves its models in order of arrival and does not interrupt an inference. For
/// inferences of C_j that arrive at most every T_j, with an earlier stage that may delay them by up
/// to J_j, the longest time from arrival to result is the largest value of
///
///     sum over all models j of (floor((t + J_j) / T_j) + 1) C_j, minus t
///
/// over t in the busy period. If no model sends a second inference meanwhile, that is the sum of
/// one inference of each model. Latencies of stages add up. Waiting for a shared link is not
/// included, as in plans of one model.
///
/// File format of set.json: schema "segue.set/1" (docs/schemas/segue.set.1.json):
///
///     schema
///     device    pool with its count: "4xedgetpu-usb3:shared"
///     headroom  share of each TPU that stays free
///     models    [ {name, source, demand {rate_per_s (optional), weight, max_latency_ns
///     (optional)},
///                rate_per_s, slack, latency_ns, tpus [ [TPUs of a stage] ], plan} ]
///     tpus      [ {sharing "own" | "cached" | "swapped", utilisation,
///                residents [ {model, stage, on_chip_bytes, host_bytes, time_ns, reload_ns} ]} ]
///
/// `plan` is a document of schema "segue.plan/2". Its numbers are those of the stages alone on a
/// TPU; what sharing changes is in `residents`, which are in cache order. A reader rejects unknown
/// and missing keys by their path, and stages that are not where `tpus` says.
///
/// Thread-safety: all types are plain values and all functions are pure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// Limits of the exact search.
inline constexpr std::size_t kMostSetModels = 4;
inline constexpr std::uint32_t kMostSetTpus = 8;

/// What a model of a set must achieve.
struct ModelDemand {
  std::string name = {};    // unique in the set
  std::string source = {};  // the model's file, as in the MODEL argument of commands; not opened
  // Inferences per second that must be reached. Not set: the model gets what the others leave, and
  // models without a rate share that in proportion to `weight`.
  std::optional<double> rate_per_s = std::nullopt;
  double weight = 1;
  std::optional<Nanoseconds> max_latency = std::nullopt;  // of one inference, with waiting
};

/// What to plan.
struct SetRequest {
  std::vector<ModelDemand> demands = {};
  DevicePool pool = {};
  double headroom = 0.1;  // share of each TPU, link and core that stays free; from 0.01, below 1
};

/// How the models of a TPU share its parameter memory.
enum class Sharing {
  kOwn,      // a single model
  kCached,   // co-compiled: each has its part
  kSwapped,  // each has all of it, and loads its parameters after another model
};
/// "own", "cached", "swapped".
[[nodiscard]] std::string_view to_string(Sharing sharing);

/// One stage of one model on one TPU.
struct Resident {
  std::uint32_t model = 0;  // position in SetPlan::models
  std::uint32_t stage = 0;
  std::uint64_t on_chip_bytes = 0;
  std::uint64_t host_bytes = 0;
  Nanoseconds time{0};    // of one inference, without `reload`
  Nanoseconds reload{0};  // kSwapped: sending the on-chip parameters
  friend bool operator==(const Resident&, const Resident&) = default;
};

/// One TPU of a set.
struct SetTpu {
  Sharing sharing = Sharing::kOwn;
  std::vector<Resident> residents = {};  // in cache order; empty: not used
  double utilisation = 0;                // at the rates of the plan
};

/// One model of a set.
struct SetModel {
  ModelDemand demand = {};
  Plan plan = {};                                     // of this model alone on its TPUs
  std::vector<std::vector<std::uint32_t>> tpus = {};  // of each stage
  double rate_per_s = 0;   // the demanded rate or, without one, the rate that is reached
  double slack = 0;        // rate that is possible / `rate_per_s`, as long as all models grow alike
  Nanoseconds latency{0};  // longest time of one inference at these rates, with waiting
};

/// A plan for a set of models.
struct SetPlan {
  PoolName device = {};  // with its count
  double headroom = 0;
  std::vector<SetModel> models = {};
  std::vector<SetTpu> tpus = {};

  /// Returns the number of TPUs with at least one model.
  [[nodiscard]] std::uint32_t used_tpus() const;
};

/// Plans a set. First all demands are met; then, if there are models without a rate, their rates
/// are as large as possible (the smallest rate / weight counts); then the smallest slack is as
/// large as possible; then fewer TPUs; then the smaller sum of latencies. `graphs` belong to the
/// demands.
///
/// Throws Error(kInvalidArgument) for demands that contradict themselves, Error(kUnsupported) for
/// more than kMostSetModels models or kMostSetTpus TPUs, for devices that are not Edge TPUs, and
/// for a host whose pace changes with the number of devices (Timing::busy_stretch);
/// Error(kInfeasible) with the demands that fail, by how much, and the number of TPUs that meets
/// them; and as check_can_be_planned.
[[nodiscard]] SetPlan plan_set(std::span<const Graph* const> graphs, const SetRequest& request);

/// Returns the text of set.json.
[[nodiscard]] std::string to_json(const SetPlan& plan);
/// Parses the text of set.json. `label` names the source in messages. Throws
/// Error(kInvalidArgument) with the path of the invalid key and the expected value.
[[nodiscard]] SetPlan parse_set(std::string_view text, const std::string& label);
/// Reads set.json. Throws Error(kIo), and as parse_set.
[[nodiscard]] SetPlan read_set(const std::filesystem::path& path);

}  // namespace segue
