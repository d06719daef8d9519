/// Backends and sessions: load a model on a runtime, run it, and measure latencies.
///
/// A `Backend` opens models on one device; a `Session` is one loaded model. The CPU backend uses
/// the TensorFlow Lite C API through dlopen. Segue is therefore not linked with TensorFlow, and one
/// build works with every TensorFlow Lite of version 2.5 or later that has this API. The simulated
/// backend adds the latency of an Edge TPU. edgetpu.h has the backend for real devices.
///
/// Example:
///
///     const segue::Model model = segue::read_model("mobilenet_v2.tflite");
///     const auto cpu = segue::make_cpu_backend({});
///     const auto session = cpu->open(model.bytes(), model.name());
///     const auto values = segue::random_inputs(session->inputs(), 1);
///     const std::vector<std::span<const std::byte>> inputs(values.begin(), values.end());
///     const std::vector<segue::TensorBytes> outputs = session->run(inputs);
///
/// Thread-safety: a Session is for one thread at a time; open one session per thread. A pipeline
/// calls the methods of a Backend from several threads if several of its devices share the backend.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/planner.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

// --- Tensors

class SharedMemory;  // internal: memory that a pipeline shares with its device processes

/// The value of a tensor: its elements in row-major order, as the runtime stores them.
using TensorBytes = std::vector<std::byte>;

/// A tensor value in the caller's memory. The memory must stay valid and unchanged while a copy of
/// `owner` exists.
struct BorrowedTensor {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

/// An input or output of a session.
struct Port {
  std::string name;
  ElementType type{};
  std::vector<std::int32_t> shape;  // [N, H, W, C] for images
  std::uint64_t bytes = 0;          // size of one value
};

/// Returns random values that every operator accepts, one per port: all values for 8-bit tensors,
/// [-1, 1) for floats, 0 or 1 for 32-bit and 64-bit integers, and bytes of 0 or 1 for other types.
/// Equal seeds give equal values.
[[nodiscard]] std::vector<TensorBytes> random_inputs(std::span<const Port> ports,
                                                     std::uint64_t seed);

// --- Sessions and backends

/// One loaded model. Not thread-safe: use one session per thread.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  /// Inputs and outputs, in the order of the model file.
  [[nodiscard]] virtual std::span<const Port> inputs() const = 0;
  [[nodiscard]] virtual std::span<const Port> outputs() const = 0;

  /// Runs one inference and blocks until it is done. `inputs` has one entry per port, of exactly
  /// the port's size. `outputs` receives one value per output; its memory is reused. Variable
  /// tensors keep their values between runs. Throws Error(kInvalidArgument) for wrong sizes,
  /// Error(kInvalidModel) when the runtime cannot run the model, Error(kDevice) when the device
  /// fails.
  virtual void run_into(std::span<const std::span<const std::byte>> inputs,
                        std::vector<TensorBytes>& outputs) = 0;

  /// The same, with outputs written to the caller's memory: one span per output, of exactly the
  /// port's size, that overlaps no input. The default calls run_into and copies. Throws
  /// Error(kDevice) when the number or sizes of the outputs differ.
  virtual void run_to(std::span<const std::span<const std::byte>> inputs,
                      std::span<const std::span<std::byte>> outputs);

  /// The same, with outputs returned in new memory.
  [[nodiscard]] std::vector<TensorBytes> run(std::span<const std::span<const std::byte>> inputs) {
    std::vector<TensorBytes> outputs;
    run_into(inputs, outputs);
    return outputs;
  }
};

/// Opens models on one device. Custom backends derive from it; only `description` and `open` must
/// be implemented.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Whether a session occupies a core of this machine while it computes. A pipeline runs at most
  /// as many such sessions at a time as the machine has cores.
  [[nodiscard]] virtual bool computes_on_core() const { return false; }

  /// Whether segments should be compiled with edgetpu_compiler. A segment that is not compiled can
  /// be opened too, but runs completely on the host's processor.
  [[nodiscard]] virtual bool wants_compiled() const { return false; }

  /// Current temperature of the device in degrees Celsius, if its driver reports it.
  [[nodiscard]] virtual std::optional<double> temperature_c() const { return std::nullopt; }

  /// Name and version for reports: "TensorFlow Lite 2.21.0 on the CPU".
  [[nodiscard]] virtual std::string description() const = 0;

  /// Known faults of this runtime, which computes some operators wrongly: one sentence each, with a
  /// remedy.
  [[nodiscard]] virtual std::vector<std::string> faults() const { return {}; }

  /// Returns a backend that drives the same device in a separate process. If that process exits,
  /// aborts or hangs, sessions throw Error(kDevice), and the calling process is not affected.
  /// Tensors in `memory` are not copied. Returns null if sessions cannot harm the calling process
  /// (the default). Thread-safe. See also isolate().
  [[nodiscard]] virtual std::shared_ptr<const Backend> in_own_process(
      const std::shared_ptr<SharedMemory>& memory) const;

  /// Starts initialisation that the first `open` would wait for (an Edge TPU stick takes two
  /// seconds). Returns at once and does not throw; `open` reports failures. Thread-safe.
  virtual void prepare() const {}

  /// Aborts the current calls of its sessions if possible; they throw. Later calls of `open` fail.
  /// Returns at once. Thread-safe.
  virtual void give_up() const noexcept {}

  /// Starts an orderly shutdown of the device's process. The caller no longer runs or opens
  /// anything. Returns at once. Thread-safe.
  virtual void release() const noexcept {}

  /// Opens a model. `model` must outlive the session; `name` is used in messages. Throws
  /// Error(kInvalidModel) with the runtime's message when the runtime rejects the model, and
  /// Error(kDevice) when the device fails or the runtime is known to compute one of the model's
  /// operators wrongly.
  [[nodiscard]] virtual std::unique_ptr<Session> open(std::span<const std::byte> model,
                                                      const std::string& name) const = 0;

  /// Opens a model so that its results do not depend on the number of threads, nor on whether a
  /// tensor is a constant or an input. For results that are compared bytewise.
  [[nodiscard]] virtual std::unique_ptr<Session> open_reproducible(std::span<const std::byte> model,
                                                                   const std::string& name) const {
    return open(model, name);
  }
};

/// Returns the backend to use for single sessions outside a pipeline: one in a separate process
/// (Backend::in_own_process) if the device's library may terminate this process, otherwise
/// `backend`.
///
///     const auto tpu = isolate(make_edgetpu_backend(libraries, device));
///     const auto session = tpu->open(model.bytes(), model.name());
[[nodiscard]] std::shared_ptr<const Backend> isolate(std::shared_ptr<const Backend> backend);

// --- CPU and simulated backends

/// Kernels of TensorFlow Lite. XNNPACK is several times faster. Its results may differ from those
/// of the builtin kernels in the last bit, so compare models only with equal kernels.
enum class CpuKernels { kBuiltin, kXnnpack };
/// Parses "builtin" or "xnnpack"; throws Error(kInvalidArgument) for other names.
[[nodiscard]] CpuKernels parse_kernels(std::string_view name);

/// Settings of the CPU backend.
struct CpuOptions {
  // Candidates for libtensorflowlite_c.so, tried in order. The system's loader searches for names
  // without a slash.
  std::vector<std::filesystem::path> libraries{"libtensorflowlite_c.so"};
  int threads = 1;  // per session; 1 to 256
  CpuKernels kernels = CpuKernels::kBuiltin;
};

/// Loads the runtime and makes a backend that computes on the CPU. Throws Error(kDevice) with every
/// candidate and the reason why it cannot be used, and Error(kInvalidArgument) for a number of
/// threads outside 1 to 256.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

/// Makes a backend that computes with `computes` and takes the simulated time of the segment on
/// `device`, multiplied by `time_scale`. A CPU is slower than an Edge TPU, and a run never takes
/// less than the computation itself; a larger scale keeps the ratios of the stages. 0 adds no time.
/// Links that devices share are not simulated. Sessions throw as those of `computes`; `open` also
/// throws Error(kUnsupported) for compiled models. Throws Error(kInvalidArgument) unless 0 <=
/// time_scale <= 10^6.
[[nodiscard]] std::unique_ptr<Backend> make_simulated_backend(
    std::shared_ptr<const Backend> computes, const DeviceSpec& device, double time_scale = 1);

// --- Measured latencies

/// Settings of measurements.
struct MeasureOptions {
  std::uint32_t runs = 7;  // after one warm-up run
  std::uint64_t seed = 1;  // of the random input
  // Runs each segment between two runs of the whole model and measures the ratio. The speed of a
  // machine with other load changes by a tenth within seconds, and segments that are compared may
  // be measured minutes apart. Not for devices on which two open models disturb each other.
  bool in_turns = true;
  // Number of threads that run the whole model meanwhile, as the other stages of a pipeline would.
  // Shared caches and memory bandwidth slow segments down by different amounts.
  std::uint32_t busy_cores = 0;
  std::function<Nanoseconds()> clock = {};  // time since any fixed point; empty: steady_clock
};

/// Returns a callable that extracts a segment in memory, opens it on the backend and measures its
/// latency. In turns, the latency is the median ratio to the whole model's time, multiplied by the
/// fastest run of the whole model. Otherwise it is the fastest run. The graph must outlive the
/// callable, which is for one thread at a time. The callable, and this function for the whole
/// model, throw as extract_segment, Backend::open and Session::run_into.
[[nodiscard]] SegmentLatency measured_latency(const Graph& graph,
                                              std::shared_ptr<const Backend> backend,
                                              const MeasureOptions& options = {});

/// Sets up a request to use measured times: those of operators that may run on the host
/// (measured_host) in its pools and, for kProfile, the latencies of segments on the backend while
/// as many cores are busy as there are other devices. Throws as check_can_be_planned and
/// measured_host. The graph must outlive the request.
void measure_for(PlanRequest& request, const Graph& graph, std::shared_ptr<const Backend> backend);

/// Returns `host` with measured times of all operators that may run on the host
/// (possible_host_operators). Each operator runs alone on the backend; the fastest of
/// `options.runs` runs counts. An operator that cannot run alone keeps its estimate. Throws as
/// Backend::open when the runtime cannot be used.
[[nodiscard]] HostCompute measured_host(HostCompute host, const Graph& graph,
                                        const Backend& backend, const MeasureOptions& options = {});

}  // namespace segue
