/// Runs segments one behind the other on several devices: the next input enters while earlier ones
/// are still on their way.
///
/// Inputs are numbered as they are pushed; results come in that order, whatever the devices do.
/// Between two stages waits a bounded number of inputs; a stage that finds the queue behind it full
/// holds its result and begins nothing, so that a slow consumer slows the producers down and memory
/// stays bounded. A stage with several devices gives each input to one that is free; a device that
/// overtakes another puts its results aside, as many as the stage has devices.
///
/// The pipeline copies no tensor: a stage's outputs are written once and read where they lie, and
/// so are inputs, the pipeline's own or borrowed ones.
///
/// A device whose library may end, or block, the process that uses it (Backend::in_own_process: an
/// Edge TPU) runs in a separate process. Tensors between stages then lie in memory that all of
/// these processes see. Inputs are copied straight into the runtime's tensors there, and results
/// out of them; where the system does not allow that, both are copied once more.
///
/// Devices may fail. One whose process ends, that throws, takes longer than the watchdog allows or
/// gives outputs of a wrong size is taken out for good, and its input runs again: on another device
/// of the stage, on a spare, or, when the stage has none left, after `replan` gave segments for the
/// devices that are left. No result is lost, doubled or out of order. When nothing can take over,
/// results that are finished still come, and then the error.
///
/// There is a thread per device, but no thread belongs to one: a thread that finishes takes the run
/// that comes next. Of sessions that compute on this machine's cores (Backend::computes_on_core),
/// no more run at a time than there are cores. Nothing polls.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/plan.h"
#include "segue/runtime.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// One segment file, and on how many devices it runs.
struct PipelineSegment {
  std::string name;  // in messages
  std::span<const std::byte> model;
  /// Keeps `model` alive; may be null where the caller does: as long as the pipeline, and where a
  /// device hangs, which goes on reading, to the end of the program.
  std::shared_ptr<const void> owner;
  std::uint32_t replicas = 1;
};

/// Segments in the order of the pipeline. `inputs` and `outputs` name tensors of the segments, in
/// the order in which values are pushed and popped; where empty, all that no earlier segment writes
/// and all that no later one reads, in the order of the segments.
struct PipelineLayout {
  std::vector<PipelineSegment> segments;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;

  [[nodiscard]] std::uint32_t device_count() const;
};

/// The stages of a plan, cut out of its model in memory; inputs and outputs are the model's. Throws
/// as check_plan_matches and extract_segment, and Error(kUnsupported) for replicas of a stage that
/// keeps values from one input to the next.
[[nodiscard]] PipelineLayout pipeline_layout(const Model& model, const Plan& plan);

/// Segment files, mapped into memory, in their order; `replicas` of each, one where it is empty.
/// Throws as read_model and as above, and Error(kInvalidArgument) where the numbers differ.
[[nodiscard]] PipelineLayout pipeline_layout(std::span<const std::filesystem::path> files,
                                             std::span<const std::uint32_t> replicas);
/// The same for segments that are read already.
[[nodiscard]] PipelineLayout pipeline_layout(std::vector<Model> segments,
                                             std::span<const std::uint32_t> replicas);

/// A backend that opens sessions on one device.
struct PipelineDevice {
  std::string name;
  std::shared_ptr<const Backend> backend;
};

struct DeviceLoss {
  std::string device;
  std::string segment;
  std::string reason;  // one sentence
  std::string remedy;  // what takes over
};

struct PipelineOptions {
  std::uint32_t queue_capacity = 2;   // inputs that wait before each stage; at least 1
  std::uint32_t result_capacity = 2;  // results that wait for pop; at least 1
  /// A device that takes longer for one input, or to open a segment, is given up. Zero: wait
  /// forever.
  Nanoseconds watchdog = std::chrono::seconds(30);
  /// An input that this many devices failed on is at fault itself, and ends the pipeline.
  std::uint32_t most_attempts = 3;
  /// False: all devices run in this process, which ends where libedgetpu ends it. True: an Edge TPU
  /// needs the program segue-device (EdgeTpuOptions::program); Error(kDevice) where there is none.
  bool own_processes = true;
  /// Called before each device of a stage opens its segment (an Edge TPU stick takes two seconds),
  /// from the thread that makes the pipeline, which what it throws ends; counts from 1. Not called
  /// for spares and new plans.
  std::function<void(const std::string& device, std::uint32_t number, std::uint32_t devices)>
      on_opening = {};
  /// The last so many computations are kept for `trace`; 0: none. Costs some 0.1 us for each.
  std::size_t trace_capacity = 0;
  /// Called after each loss, one call at a time, from a thread of the pipeline or its destructor;
  /// must not call the pipeline. What it throws is ignored.
  std::function<void(const DeviceLoss&)> on_loss = {};
  /// Segments for fewer devices, with the same inputs and outputs; nothing where there are none.
  std::function<std::optional<PipelineLayout>(std::uint32_t devices)> replan = {};
};

struct PipelineResult {
  std::uint64_t number = 0;  // of the input, from 0
  std::vector<TensorBytes> outputs;
  Nanoseconds latency{0};  // from the accepted push until the result could be popped
};

enum class Flow {
  kOk,
  kTimeout,  // nothing happened
  kClosed    // nothing will ever happen
};

/// Of the present layout, as are those of its stage: shares are of the time since its first input,
/// up to its last result, or to now where something is on its way.
struct DeviceStatistics {
  std::string name;
  std::uint64_t inputs = 0;
  double utilisation = 0;  // share of the time that it computed
  bool is_lost = false;
};

struct PipelineStageStatistics {
  std::string segment;
  std::vector<DeviceStatistics> devices;
  Nanoseconds mean_time{0};  // of one input on a device
  double mean_queue = 0;     // inputs that waited, over the time
  std::uint64_t largest_queue = 0;
};

struct LatencyStatistics {
  Nanoseconds mean{0};
  Nanoseconds p50{0};  // percentiles within 1 %
  Nanoseconds p99{0};
  Nanoseconds max{0};
};

/// One computation of one input on one device. Times are since the first push.
struct PipelineEvent {
  std::uint32_t device = 0;
  std::uint32_t stage = 0;  // of the layout of that time
  std::uint64_t input = 0;
  Nanoseconds begin{0};
  Nanoseconds end{0};
};

struct PipelineTrace {
  std::vector<std::string> devices;
  std::vector<PipelineEvent> events;  // in the order of their ends
};

struct PipelineStatistics {
  std::uint64_t results = 0;
  Nanoseconds elapsed{0};  // from the first push to the last result
  double throughput_per_s = 0;
  LatencyStatistics latency;
  std::uint32_t layouts = 1;                    // more than one after new plans
  std::vector<PipelineStageStatistics> stages;  // of the present layout
  std::vector<DeviceLoss> losses;
};

/// Thread-safe: any number of threads may push, pop, close, cancel and ask; none may be inside a
/// call when it is destroyed.
class Pipeline {
 public:
  static constexpr Nanoseconds kForever = Nanoseconds::max();

  /// Opens every segment on its devices, in the order of `devices`; those left over are spares.
  /// Throws Error(kInvalidArgument) when there are no segments, too few devices, or tensors that do
  /// not fit together, Error(kDevice) when a device does not open a segment within the watchdog's
  /// time, and whatever a backend throws for a segment.
  Pipeline(PipelineLayout layout, std::vector<PipelineDevice> devices, PipelineOptions options);
  /// Cancels. Waits for devices that compute, at most as long as the watchdog allows, and for a
  /// `replan` that is being asked; a device that hangs keeps its thread and its session.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  [[nodiscard]] std::span<const Port> inputs() const;
  [[nodiscard]] std::span<const Port> outputs() const;

  /// Gives one value per input; they are moved from only when the answer is kOk. Waits while the
  /// first queue is full, at most for `timeout`; 0 tries. kClosed after close or cancel. Throws
  /// Error(kInvalidArgument) for wrong sizes, and the error that ended the pipeline.
  [[nodiscard]] Flow push(std::vector<TensorBytes>&& inputs, Nanoseconds timeout = kForever);

  /// The same without taking the values over: each stays where it is, and its owner is let go when
  /// no device reads it any more. That happens in any thread, with the pipeline locked: what then
  /// ends must be quick and must not call the pipeline.
  [[nodiscard]] Flow push_borrowed(std::vector<BorrowedTensor>&& inputs,
                                   Nanoseconds timeout = kForever);

  /// The same by the names of `inputs`; moved from only when the answer is kOk, too. Throws
  /// Error(kInvalidArgument) naming what is missing or no input.
  [[nodiscard]] Flow push_named(std::map<std::string, TensorBytes>&& inputs,
                                Nanoseconds timeout = kForever);
  /// Where a result has the output of this name; throws Error(kInvalidArgument) where there is
  /// none.
  [[nodiscard]] std::size_t output_position(std::string_view name) const;

  /// Waits for the next result. kClosed when it was cancelled, or closed and everything was popped.
  /// Throws the error that ended the pipeline once all finished results before it were popped.
  [[nodiscard]] Flow pop(PipelineResult& result, Nanoseconds timeout = kForever);

  /// Changes PipelineOptions::queue_capacity (of each stage) and result_capacity while the pipeline
  /// runs. Where more waits already, it stays, and nothing is added until there is room. Throws
  /// Error(kInvalidArgument) for 0.
  void set_capacities(std::uint32_t queue, std::uint32_t results);

  /// No more inputs; what was accepted comes out.
  void close();
  /// Forgets everything that is on its way.
  void cancel();

  [[nodiscard]] PipelineStatistics statistics() const;
  /// What was kept (PipelineOptions::trace_capacity).
  [[nodiscard]] PipelineTrace trace() const;

 private:
  std::shared_ptr<class PipelineState> state_;
};

}  // namespace segue
