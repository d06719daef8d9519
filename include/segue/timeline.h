/// Simulates a pipeline event by event in virtual time: inputs, stages, queues and shared links.
///
/// For each input a device performs: request, input transfer, computation, waiting for streamed
/// parameters, output transfer, re-layout by the host, and operators on the host. Results wait in
/// bounded queues; a stage whose downstream queue is full keeps its result and starts no new input.
/// A stage with replicas gives each input to the first free replica and passes results on in the
/// order of the inputs. If the replicas differ, a fast one may hold back as many results as it
/// computes while the slowest works on one input. Handing an input to a stage takes a hop. A stage
/// receives one input at a time, and at most one per replica in advance; stages do so concurrently.
///
/// Example:
///
///     const segue::Model model = segue::read_model("resnet50.tflite");
///     const segue::Graph graph(model);
///     const auto tpus = segue::open_devices("edgetpu-usb3", 4);
///     const auto plan = segue::plan_by_strategy(graph, tpus, segue::Strategy::kOptimal).plan;
///     const segue::Timeline timeline = segue::simulate_timeline(
///         segue::stage_loads(plan), segue::timeline_options(plan, tpus));
///     std::printf("%s per input\n", segue::format_time(timeline.time_per_input()).c_str());
///
/// Devices may share a link (`SharedLink`), which one of them uses at a time, first come, first
/// served. The result includes fill and drain, as in the paper's batches of 15. docs/cost-model.md,
/// "Pipelines", has the closed form that plans use.
///
/// Deterministic: times are whole nanoseconds, and ties are resolved by event order. Thread-safety:
/// all functions are pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segue/cost.h"
#include "segue/device.h"
#include "segue/plan.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Input

/// The work of one stage for one input. A stage of the host has no device and no hop: its time is
/// `time.host`, on one of the host's cores.
struct StageLoad {
  SegmentTime time;  // on each replica
  std::uint32_t replicas = 1;
  std::vector<SegmentTime> replica_times = {};  // one per replica if they differ, otherwise empty
  bool is_on_host = false;

  /// Returns the time on one replica.
  [[nodiscard]] const SegmentTime& time_of(std::size_t replica) const {
    return replica_times.empty() ? time : replica_times[replica];
  }
  /// Returns the number of results that the faster replicas compute while the slowest works on one
  /// input.
  [[nodiscard]] std::uint64_t results_meanwhile() const;
};
/// Returns the loads of the stages of a plan. The last one is decoding, if the plan includes it.
[[nodiscard]] std::vector<StageLoad> stage_loads(const Plan& plan);

/// A link that several devices share: a USB hub, or a card with one lane. It carries inputs,
/// outputs or parameters of one device at a time. Devices are numbered stage by stage, replica by
/// replica.
struct SharedLink {
  std::vector<std::uint32_t> devices;
};

/// The way of one input over a boundary between stages on a network. It waits, first come, first
/// served, for each of its channels and processors, and takes at least `latency`.
struct BoundaryTransfer {
  struct Use {
    std::size_t resource = 0;
    Nanoseconds busy{0};
  };
  std::vector<Use> uses;
  Nanoseconds latency{0};
};

/// Settings of a simulation.
struct TimelineOptions {
  std::uint64_t inputs = 15;         // all are available at the start
  std::uint32_t queue_capacity = 2;  // results between two stages; 0: unbounded
  Nanoseconds hop{0};                // time to hand an input to a stage
  double host_stretch = 1;           // factor on the host's share of outputs after the first input
  std::vector<SharedLink> shared;
  // Before each stage, and behind the last one; empty: no network. Tensors that cross the network
  // count as inputs that a stage has in advance.
  std::vector<BoundaryTransfer> network = {};
  std::uint32_t host_cores = 0;  // concurrent operators on the host; 0: no limit
  bool records_events = false;   // 56 bytes for each of up to 7 events per input and stage
};

/// Returns options for one kind of device and a host at full speed. The hop is that of the device,
/// or 0 for a single stage on a single device.
[[nodiscard]] TimelineOptions timeline_options(std::span<const StageLoad> stages,
                                               const DeviceSpec& device);

// --- Result

/// The kind of an event.
enum class Activity : std::uint8_t {
  kHop,        // handing an input to a stage
  kRequest,    // until the device starts
  kInput,      // activations on the link
  kCompute,    // the array computes; nothing is on the link
  kStreaming,  // parameters on the link; the array may compute at the same time
  kOutput,     // activations on the link
  kRelayout,   // the host re-lays out the output
  kHostWork    // operators on the host's processor
};
/// Name for reports and traces.
[[nodiscard]] std::string_view to_string(Activity activity);

/// One event. Hops have `device` == kHost; all other events belong to a device.
struct TimelineEvent {
  static constexpr std::uint32_t kHost = 0xFFFFFFFF;
  Activity activity{};
  std::uint32_t stage = 0;
  std::uint32_t device = 0;
  std::uint64_t input = 0;
  Nanoseconds begin{0};
  Nanoseconds end{0};
};

/// Statistics of one stage.
struct StageStatistics {
  std::vector<double> utilisation;  // per replica: busy time / makespan
  std::uint64_t largest_queue = 0;  // largest number of inputs waiting before the stage
  double mean_queue = 0;            // mean over the makespan
  Nanoseconds blocked{0};           // all replicas: waiting with a result or for a shared link
};

/// The result of a simulation.
struct Timeline {
  Nanoseconds makespan{0};             // from the first hop to the last result
  std::vector<Nanoseconds> results;    // time of each input's result, in order
  std::vector<Nanoseconds> latencies;  // of each input, from its first hop to its result
  std::vector<StageStatistics> stages;
  std::vector<TimelineEvent> events;  // by begin; empty unless `records_events`

  /// makespan / inputs, as the paper reports it.
  [[nodiscard]] Nanoseconds time_per_input() const;
  /// Mean time between results in the second half of the inputs, when the pipeline is full. With
  /// fewer than 3 inputs: time_per_input().
  [[nodiscard]] Nanoseconds steady_period() const;
};

// --- Simulation

/// Returns options for a plan: hop, shared links, host cores, and the stretch of a busy host in a
/// steady stream.
[[nodiscard]] TimelineOptions timeline_options(const Plan& plan, std::span<const DevicePool> pools);

/// Simulates a batch of inputs. O(inputs * stages * (stages + devices)). Throws
/// Error(kInvalidArgument) when there is no stage or no input, a stage has no replica, the times
/// add up to more than a hundred years, or a shared link names a device that does not exist or is
/// in another shared link.
[[nodiscard]] Timeline simulate_timeline(std::span<const StageLoad> stages,
                                         const TimelineOptions& options);

}  // namespace segue
