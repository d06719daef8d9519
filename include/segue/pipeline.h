/// Runs segments as a pipeline on several devices, with several inputs in flight.
///
/// Inputs are numbered when they are accepted, and results leave in that order. Queues between
/// stages are bounded: a stage whose downstream queue is full keeps its result and starts no new
/// input, so a slow consumer slows the producers down and memory stays bounded. A stage with
/// several devices gives each input to a device that is free; results that overtake an earlier
/// input are held back, up to two per device of the stage.
///
/// Example:
///
///     const std::vector<std::filesystem::path> files{"net_segment_0_of_2.tflite",
///                                                    "net_segment_1_of_2.tflite"};
///     const std::shared_ptr<const segue::Backend> cpu = segue::make_cpu_backend({});
///     segue::Pipeline pipeline(segue::pipeline_layout(files, {}), {{"a", cpu}, {"b", cpu}}, {});
///     segue::PipelineResult result;
///     if (pipeline.push(segue::random_inputs(pipeline.inputs(), 1)) == segue::Flow::kOk)
///       (void)pipeline.pop(result);
///
/// A thread that pushes all inputs before it pops needs queues that are long enough for all of
/// them. Otherwise call `pop` in a second thread.
///
/// Copies. Tensors between stages are not copied: a stage writes its outputs once, and later stages
/// read them in place. Pushed and borrowed inputs are not copied either. A result is copied only if
/// its tensor is named as an output twice, is itself an input, or is still in use elsewhere.
///
/// Processes. A device whose library may terminate or block its process (Backend::in_own_process:
/// an Edge TPU) runs in a separate process. Tensors between stages are then in shared memory.
/// Inputs are copied into the runtime's tensors there, and results out of them.
///
/// Failures. A device is lost permanently when its process ends, it throws, it exceeds the watchdog
/// timeout, or its outputs have wrong sizes. Its input runs again on another device of the stage,
/// on a spare or, if the stage has no device left, after `replan` provided segments for the
/// remaining devices. No result is lost, duplicated or reordered. If nothing can take over,
/// finished results are still delivered, and then the error.
///
/// Threads. The pipeline has one thread per device and one for the watchdog. A thread is not bound
/// to a device: it takes the next ready work. At most as many sessions that compute on this
/// machine's cores (Backend::computes_on_core) run at a time as there are cores. No thread polls.
///
/// Thread-safety: a Pipeline may be used from any number of threads; see the class. docs/runtime.md
/// describes scheduling and failures.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/edgetpu.h"
#include "segue/plan.h"
#include "segue/runtime.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Layout

/// One segment and the number of devices that run it, or a stage of the host.
struct PipelineSegment {
  std::string name;                  // for messages
  std::span<const std::byte> model;  // the .tflite file
  // Keeps `model` alive. It may be null if the caller keeps `model` alive as long as the pipeline
  // or, because a device that hangs may continue to read it, until the program ends.
  std::shared_ptr<const void> owner;
  std::uint32_t replicas = 1;
  // If set, the stage runs on this backend in this process and uses none of the pipeline's devices;
  // `replicas` is the number of its threads. The pipeline ends with an error if it fails.
  std::shared_ptr<const Backend> host = {};
};

/// The segments in pipeline order. `inputs` and `outputs` are names of tensors, in the order in
/// which values are pushed and popped. If `inputs` is empty, the inputs are all tensors that no
/// earlier segment writes; if `outputs` is empty, the outputs are all tensors that no segment
/// reads. Both are then in the order of the segments.
struct PipelineLayout {
  std::vector<PipelineSegment> segments;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;

  /// Returns the number of devices needed: the sum of the replicas, without stages of the host.
  [[nodiscard]] std::uint32_t device_count() const;
};

/// Extracts the stages of a plan in memory. Inputs and outputs are those of the model. Throws as
/// check_plan_matches and extract_segment, and Error(kUnsupported) when a stage with variable
/// tensors, which keeps values from one input to the next, has replicas.
[[nodiscard]] PipelineLayout pipeline_layout(const Model& model, const Plan& plan);

/// Maps segment files into memory, in the given order. `replicas` has one number per file; empty
/// means one device each. Throws as read_model, Error(kUnsupported) as above, and
/// Error(kInvalidArgument) when the numbers of files and replicas differ.
[[nodiscard]] PipelineLayout pipeline_layout(std::span<const std::filesystem::path> files,
                                             std::span<const std::uint32_t> replicas);
/// The same for segments that have been read.
[[nodiscard]] PipelineLayout pipeline_layout(std::vector<Model> segments,
                                             std::span<const std::uint32_t> replicas);

// --- Devices and options

/// A device: a backend that opens sessions on it. Several devices may share one backend.
struct PipelineDevice {
  std::string name;
  std::shared_ptr<const Backend> backend;
};

/// What a runtime needs to open devices. Each runtime reads the settings that concern it.
struct RuntimeRequest {
  std::uint32_t devices = 1;            // needed by the pipeline
  std::vector<std::string> names = {};  // of devices to use, in this order; empty: all
  EdgeTpuLibraries libraries = {};
  int threads = 1;  // of each session on the CPU
  CpuKernels kernels = CpuKernels::kBuiltin;
  EdgeTpuOptions edgetpu = {};
  std::vector<DevicePool> pools = {};  // of the plan; for simulated times
  double time_scale = 1;               // of simulated times
};

/// A runtime: one row of a table that the command line and Python read. It opens devices, a
/// device (Backend) opens sessions, and a session runs one model. Callers add runtimes with
/// another table, as with StrategyRow in planner.h.
struct RuntimeRow {
  std::string_view key;         // in options
  std::string_view summary;     // one clause for help texts
  bool wants_compiled = false;  // whether it runs files of edgetpu_compiler
  // Returns at least `devices` devices; the further ones are spares. Thread-safe. Throws
  // Error(kDevice) when there are too few, and Error(kInvalidArgument) for settings that the
  // runtime does not have.
  std::function<std::vector<PipelineDevice>(const RuntimeRequest& request)> open;
};

/// Returns the runtimes of the library: cpu, simulated and edgetpu.
[[nodiscard]] std::span<const RuntimeRow> runtime_table();

/// Returns the row with this key. Throws Error(kInvalidArgument) with all keys.
[[nodiscard]] const RuntimeRow& find_runtime(std::string_view key,
                                             std::span<const RuntimeRow> table = runtime_table());

/// A device that was lost.
struct DeviceLoss {
  std::string device;
  std::string segment;
  std::string reason;  // one sentence
  std::string remedy;  // what replaces it
};

/// Settings of a pipeline.
struct PipelineOptions {
  std::uint32_t queue_capacity = 2;   // inputs that wait before each stage; at least 1
  std::uint32_t result_capacity = 2;  // results that wait for pop; at least 1
  /// Time limit for one input on a device and for opening a segment. A device that exceeds it is
  /// lost. Zero: no limit. Limits above kLongestWait count as kLongestWait.
  Nanoseconds watchdog = std::chrono::seconds(30);
  /// An input that fails on this many devices is assumed to cause the failures. It ends the
  /// pipeline with an error.
  std::uint32_t most_attempts = 3;
  /// True: an Edge TPU runs in a separate process, which needs the program segue-device
  /// (EdgeTpuOptions::program); Error(kDevice) if it is missing. False: all devices run in this
  /// process, which libedgetpu terminates when a USB transfer fails.
  bool own_processes = true;
  /// Called before each device of a stage opens its segment (an Edge TPU stick takes two seconds),
  /// in the thread that constructs the pipeline. `number` counts from 1. An exception ends the
  /// construction. Not called for spares and for new plans.
  std::function<void(const std::string& device, std::uint32_t number, std::uint32_t devices)>
      on_opening = {};
  /// Number of most recent computations that `trace` returns; 0: none. Costs about 0.1 us for each
  /// computation.
  std::size_t trace_capacity = 0;
  /// Called after each loss, one call at a time, in a thread of the pipeline or its destructor. It
  /// must not call the pipeline. Exceptions are ignored.
  std::function<void(const DeviceLoss&)> on_loss = {};
  /// Returns segments for fewer devices, with the same inputs, outputs and stages of the host, or
  /// nothing if there is no such plan. If set, the pipeline keeps the inputs of all items in
  /// flight, so that they can start again. Called in a thread of the pipeline.
  std::function<std::optional<PipelineLayout>(std::uint32_t devices)> replan = {};
  /// Called when a device is lost and no spare is left, before its segment is left to the other
  /// devices of the stage or a new plan is made. Returns a device that runs the segment from now
  /// on, or nothing. Its backend is used as it is (see isolate() in runtime.h). `remedy` is empty.
  /// The pipeline waits for the call, which must not call the pipeline. Exceptions count as
  /// nothing.
  std::function<std::optional<PipelineDevice>(const DeviceLoss& loss)> borrow = {};
};

// --- Results and statistics

/// The outputs for one input.
struct PipelineResult {
  std::uint64_t number = 0;          // of the input, counted from 0
  std::vector<TensorBytes> outputs;  // in the order of Pipeline::outputs()
  Nanoseconds latency{0};            // from the accepted push until the result could be popped
};

/// The result of a call that may wait.
enum class Flow {
  kOk,
  kTimeout,  // the timeout expired; nothing changed
  kClosed    // no input is accepted any more, or no further result will come
};

/// Statistics of one device in the current layout.
struct DeviceStatistics {
  std::string name;
  std::uint64_t inputs = 0;
  double utilisation = 0;  // busy time / observed time (see PipelineStageStatistics)
  bool is_lost = false;
};

/// Statistics of one stage of the current layout. The observed time begins with the layout or the
/// first input, whichever is later. It ends at the last result, or now if inputs are in flight, or
/// at the error or cancellation that ended the pipeline.
struct PipelineStageStatistics {
  std::string segment;
  bool is_on_host = false;                // PipelineSegment::host is set
  std::vector<DeviceStatistics> devices;  // of a stage of the host: its threads
  Nanoseconds mean_time{0};               // of one input on a device
  double mean_queue = 0;                  // mean number of waiting inputs over the observed time
  std::uint64_t largest_queue = 0;
};

/// Latencies of all results.
struct LatencyStatistics {
  Nanoseconds mean{0};
  Nanoseconds p50{0};  // percentiles have an error below 1 %
  Nanoseconds p99{0};
  Nanoseconds max{0};
};

/// One computation of one input on one device. Times are relative to the first push.
struct PipelineEvent {
  std::uint32_t device = 0;
  std::uint32_t stage = 0;  // in the layout at that time
  std::uint64_t input = 0;
  Nanoseconds begin{0};
  Nanoseconds end{0};
};

/// The most recent computations.
struct PipelineTrace {
  std::vector<std::string> devices;   // names, by PipelineEvent::device
  std::vector<PipelineEvent> events;  // in the order in which they were completed
};

/// Statistics of a pipeline since its first push.
struct PipelineStatistics {
  std::uint64_t results = 0;
  Nanoseconds elapsed{0};  // from the first push to the last result
  double throughput_per_s = 0;
  LatencyStatistics latency;
  std::uint32_t layouts = 1;                    // 1 + number of new plans
  std::vector<PipelineStageStatistics> stages;  // of the current layout
  std::vector<DeviceLoss> losses;
};

// --- Pipeline

/// A running pipeline. Thread-safe: any number of threads may call any method. No thread may be
/// inside a call when the pipeline is destroyed.
class Pipeline {
 public:
  /// No timeout. Waits are limited to kLongestWait, one year.
  static constexpr Nanoseconds kForever = Nanoseconds::max();

  /// Opens the segments on the devices, in order; stages of the host use none, and the remaining
  /// devices are spares. Throws Error(kInvalidArgument) when there are no segments, too few
  /// devices, a queue capacity of 0, or tensors that do not match; Error(kDevice) when a device
  /// does not open its segment within the watchdog timeout; Error(kIo) when the system cannot
  /// create the threads; and what the backends throw.
  Pipeline(PipelineLayout layout, std::vector<PipelineDevice> devices, PipelineOptions options);
  /// Cancels the pipeline. Waits for devices that compute, at most for the watchdog timeout, and
  /// for a call of `replan` in progress. The thread and session of a device that hangs are not
  /// freed.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Inputs and outputs, in the order in which values are pushed and popped.
  [[nodiscard]] std::span<const Port> inputs() const;
  [[nodiscard]] std::span<const Port> outputs() const;

  /// Pushes one value per input. Waits while the first queue is full, at most for `timeout`; with 0
  /// it does not wait. The values are moved from only if the result is kOk. Returns kClosed after
  /// close or cancel. Throws Error(kInvalidArgument) for wrong sizes, and the error that ended the
  /// pipeline.
  [[nodiscard]] Flow push(std::vector<TensorBytes>&& inputs, Nanoseconds timeout = kForever);

  /// The same with values in the caller's memory, which are not copied. The pipeline releases the
  /// `owner` of a value when no device reads it any more. This may happen in any thread and while
  /// the pipeline is locked, so the owner's deleter must be fast and must not call the pipeline.
  [[nodiscard]] Flow push_borrowed(std::vector<BorrowedTensor>&& inputs,
                                   Nanoseconds timeout = kForever);

  /// Waits for the next result. Returns kClosed when the pipeline was cancelled, or was closed and
  /// all results have been popped. Throws the error that ended the pipeline after all finished
  /// results have been popped.
  [[nodiscard]] Flow pop(PipelineResult& result, Nanoseconds timeout = kForever);

  /// Changes PipelineOptions::queue_capacity (of each stage) and result_capacity. A queue that is
  /// longer already keeps its inputs and accepts no more until it is shorter. Throws
  /// Error(kInvalidArgument) for 0.
  void set_capacities(std::uint32_t queue, std::uint32_t results);

  /// Accepts no more inputs. Accepted inputs are completed.
  void close();
  /// Accepts no more inputs and discards inputs in flight and results.
  void cancel();

  [[nodiscard]] PipelineStatistics statistics() const;
  /// Returns the most recent computations (PipelineOptions::trace_capacity).
  [[nodiscard]] PipelineTrace trace() const;

 private:
  std::shared_ptr<class PipelineState> state_;
};

}  // namespace segue
