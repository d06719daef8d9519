/// A pipeline in virtual time: every input, stage and transfer as an event.
///
/// Each device does, for one input after another: request, input transfer, computation, the wait
/// for streamed parameters, output transfer. Results wait in bounded queues; a stage that finds the
/// queue behind it full waits with its result. A stage with replicas gives each input to the first
/// replica that is free and hands results on in the order of the inputs. Where replicas differ, a
/// fast one puts results aside while a slow one has an older input: as many as it can compute
/// meanwhile. Handing an input over to a stage takes a hop, one input ahead of each device at most;
/// stages hand over at the same time.
///
/// Devices may share something (`SharedLink`): then what one of them does on it excludes the
/// others, first come, first served. Fill and drain are part of the result, as in the paper's
/// batches of 15.
///
/// Deterministic: times are whole nanoseconds, ties are settled by event order.
/// Thread-safety: a pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segue/cost.h"
#include "segue/device.h"
#include "segue/plan.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// What one stage does with one input.
struct StageLoad {
  SegmentTime time;  // on each replica
  std::uint32_t replicas = 1;
  std::vector<SegmentTime> replica_times = {};  // where they differ, one per replica; else empty

  [[nodiscard]] const SegmentTime& time_of(std::size_t replica) const {
    return replica_times.empty() ? time : replica_times[replica];
  }
  /// Results that the faster replicas have while the slowest works on one input.
  [[nodiscard]] std::uint64_t results_meanwhile() const;
};
[[nodiscard]] std::vector<StageLoad> stage_loads(const Plan& plan);

/// A link that several devices share, a hub or a card behind one lane: inputs, outputs and
/// parameters of one of them at a time. Devices are numbered stage by stage, replica by replica.
struct SharedLink {
  std::vector<std::uint32_t> devices;
};

struct TimelineOptions {
  std::uint64_t inputs = 15;         // all waiting at the start
  std::uint32_t queue_capacity = 2;  // results between two stages; 0: no bound
  Nanoseconds hop{0};                // of handing an input over to a stage
  double host_stretch = 1;           // of the host's share of all outputs but the first input's
  std::vector<SharedLink> shared;
  std::uint32_t host_cores = 0;  // that compute operators on the host at a time; 0: no limit
  bool records_events = false;   // 56 bytes for each of up to 7 events per input and stage
};

/// Options for a device whose host is at full pace: its hop, none for one stage on one device.
[[nodiscard]] TimelineOptions timeline_options(std::span<const StageLoad> stages,
                                               const DeviceSpec& device);

enum class Activity : std::uint8_t {
  kHop,        // an input is handed over to a stage
  kRequest,    // until the device begins
  kInput,      // activations on the link
  kCompute,    // the array, nothing on the link
  kStreaming,  // parameters on the link; the array may work meanwhile
  kOutput,     // activations on the link
  kRelayout,   // the host puts the output into order
  kHostWork    // operators that the device leaves to the host's processor
};
[[nodiscard]] std::string_view to_string(Activity activity);

/// One thing that happened. Hops happen on the host (`device` is kHost), all else on a device.
struct TimelineEvent {
  static constexpr std::uint32_t kHost = 0xFFFFFFFF;
  Activity activity{};
  std::uint32_t stage = 0;
  std::uint32_t device = 0;
  std::uint64_t input = 0;
  Nanoseconds begin{0};
  Nanoseconds end{0};
};

struct StageStatistics {
  std::vector<double> utilisation;  // per replica: share of the makespan it worked
  std::uint64_t largest_queue = 0;  // inputs that waited before the stage at once
  double mean_queue = 0;            // over the makespan
  Nanoseconds blocked{0};           // waiting with a result, or for a shared link; all replicas
};

struct Timeline {
  Nanoseconds makespan{0};             // from the first hop to the last result
  std::vector<Nanoseconds> results;    // when each input's result was there, in order
  std::vector<Nanoseconds> latencies;  // of each input, from its first hop to its result
  std::vector<StageStatistics> stages;
  std::vector<TimelineEvent> events;  // in the order of their begin; empty unless asked for

  /// makespan / inputs: what the paper reports.
  [[nodiscard]] Nanoseconds time_per_input() const;
  /// Between results once the pipeline is full: over the second half of the inputs.
  [[nodiscard]] Nanoseconds steady_period() const;
};

/// Options for a plan: hop, shared links, and the stretch of the host in a steady stream.
[[nodiscard]] TimelineOptions timeline_options(const Plan& plan, std::span<const DevicePool> pools);

/// O(inputs * stages * (stages + devices)). Throws Error(kInvalidArgument) when there is no stage
/// or no input, a stage has no replica, the times add up to more than a hundred years, or a shared
/// path names a device that does not exist or that is in another shared link.
[[nodiscard]] Timeline simulate_timeline(std::span<const StageLoad> stages,
                                         const TimelineOptions& options);

}  // namespace segue
