/// Runtimes: what opens a segment and computes it, and how long that takes here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/segmentation.h"
#include "segue/units.h"

namespace [[gnu::visibility("default")]] segue {

/// What runs a segment. A backend opens models as sessions; a session computes.
///
/// The CPU backend drives the classic TensorFlow Lite C API, loaded with dlopen: nothing of
/// TensorFlow is linked, and one build of Segue works with any runtime of TensorFlow Lite 2.5 or
/// later that has that API.

class SharedMemory;  // of a pipeline and the processes of its devices; for Segue's own backends

/// The value of a tensor, in the runtime's layout.
using TensorBytes = std::vector<std::byte>;

/// A value in memory of someone else, who keeps it unchanged as long as `owner` lives.
struct BorrowedTensor {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

/// A tensor that a session reads from or gives to its caller.
struct Port {
  std::string name;
  ElementType type{};
  std::vector<std::int32_t> shape;  // [N, H, W, C] for images
  std::uint64_t bytes = 0;
};

/// Random values that every operator can take: all bytes for 8-bit tensors, [-1, 1) for floats, 0
/// or 1 for the types that serve as indices. The same for the same seed.
[[nodiscard]] std::vector<TensorBytes> random_inputs(std::span<const Port> ports,
                                                     std::uint64_t seed);

/// One loaded model. Not thread-safe: use one session per thread.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  /// In the order of the file.
  [[nodiscard]] virtual std::span<const Port> inputs() const = 0;
  [[nodiscard]] virtual std::span<const Port> outputs() const = 0;

  /// Computes once and blocks until done. `inputs` must have as many entries as inputs(), each of
  /// exactly its port's size; `outputs` gets one value per output and keeps what memory it has.
  /// Variable tensors keep their values from run to run. Throws Error(kInvalidArgument) for wrong
  /// sizes, Error(kInvalidModel) when the runtime refuses to compute, Error(kDevice) when the
  /// device fails.
  virtual void run_into(std::span<const std::span<const std::byte>> inputs,
                        std::vector<TensorBytes>& outputs) = 0;

  /// The same into memory of the caller: one place per output, of exactly its port's size, none of
  /// which overlaps an input. The default computes by run_into and copies. Throws Error(kDevice)
  /// where outputs come out in another number or size.
  virtual void run_to(std::span<const std::span<const std::byte>> inputs,
                      std::span<const std::span<std::byte>> outputs);

  [[nodiscard]] std::vector<TensorBytes> run(std::span<const std::span<const std::byte>> inputs) {
    std::vector<TensorBytes> outputs;
    run_into(inputs, outputs);
    return outputs;
  }
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Whether a session occupies a core of this machine while it computes. A pipeline runs no more
  /// of these at a time than the machine has cores.
  [[nodiscard]] virtual bool computes_on_core() const { return false; }

  /// Whether it should be given segments that Google's compiler compiled; one that was not compiled
  /// opens too, and then runs wholly on the host's processor.
  [[nodiscard]] virtual bool wants_compiled() const { return false; }

  /// Of the device, now, where its driver tells.
  [[nodiscard]] virtual std::optional<double> temperature_c() const { return std::nullopt; }

  /// "TensorFlow Lite 2.21.0 on the CPU"
  [[nodiscard]] virtual std::string description() const = 0;

  /// What the runtime is known to compute wrongly, a sentence each, with what to do.
  [[nodiscard]] virtual std::vector<std::string> faults() const { return {}; }

  /// The same device, driven by a separate process whose death, abort or hang is an Error(kDevice)
  /// of a session and harms nothing else. Tensors that lie in `memory` get there without a
  /// copy. Nothing where sessions cannot harm this process (the default). Thread-safe. See also
  /// isolate().
  [[nodiscard]] virtual std::shared_ptr<const Backend> in_own_process(
      const std::shared_ptr<SharedMemory>& memory) const;

  /// Begins what opening the first model will have to wait for (an Edge TPU stick takes two
  /// seconds); returns at once, and throws nothing: `open` throws what fails. Thread-safe.
  virtual void prepare() const {}

  /// Ends what its sessions do at this moment, where it can: they throw. It opens nothing any more.
  /// Returns at once. Thread-safe.
  virtual void give_up() const noexcept {}

  /// Begins to end what the device runs in, in order; nothing computes and nothing is opened any
  /// more. Returns at once. Thread-safe.
  virtual void release() const noexcept {}

  /// Opens a model; the bytes must outlive the session. `name` is used in messages.
  /// Throws Error(kInvalidModel) with the runtime's own message when it does not accept the model,
  /// Error(kDevice) where the runtime is known to compute an operator of it wrongly.
  [[nodiscard]] virtual std::unique_ptr<Session> open(std::span<const std::byte> model,
                                                      const std::string& name) const = 0;

  /// The same with results that do not depend on threads, nor on whether a tensor is a constant of
  /// the model or an input: what is compared byte for byte opens models like this.
  [[nodiscard]] virtual std::unique_ptr<Session> open_reproducible(std::span<const std::byte> model,
                                                                   const std::string& name) const {
    return open(model, name);
  }
};

/// The backend to open single sessions on where no pipeline is wanted: driven by a separate process
/// (Backend::in_own_process) where the device's library may end this one, else `backend` itself.
///
///     const auto tpu = isolate(make_edgetpu_backend(libraries, device));
///     const auto session = tpu->open(model.bytes(), model.name());
[[nodiscard]] std::shared_ptr<const Backend> isolate(std::shared_ptr<const Backend> backend);

/// Which code computes. XNNPACK is several times faster; its results may differ from those of the
/// builtin kernels in the last bit, so that models are compared only with the same kernels.
enum class CpuKernels { kBuiltin, kXnnpack };

struct CpuOptions {
  /// Candidates for libtensorflowlite_c.so, tried in order; names without a slash are left to the
  /// system's loader.
  std::vector<std::filesystem::path> libraries{"libtensorflowlite_c.so"};
  int threads = 1;  // per session; 1 to 256
  CpuKernels kernels = CpuKernels::kBuiltin;
};

/// Loads the runtime. Throws Error(kDevice) naming every candidate and what is wrong with it,
/// Error(kInvalidArgument) for a number of threads that no machine has.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

/// Computes what `computes` does, and takes as long for it as the simulator says of the segment on
/// this device, times `time_scale` (a CPU computes more slowly than an Edge TPU: give it time); 0:
/// takes no longer than the computation. A segment whose computation takes longer than that lasts
/// longer. Links that devices share are not in it. Its sessions throw what those of `computes` do.
[[nodiscard]] std::unique_ptr<Backend> make_simulated_backend(
    std::shared_ptr<const Backend> computes, const DeviceSpec& device, double time_scale = 1);

/// Latencies of segments, measured by running them.

struct MeasureOptions {
  std::uint32_t runs = 7;  // after one that does not count
  std::uint64_t seed = 1;  // of the input
  /// Each run of a segment between two of the whole model, which measure how fast the machine is at
  /// this moment: one that others use too changes by a tenth within seconds, and segments are
  /// compared with each other that are measured minutes apart. Not for a device that two open
  /// models disturb.
  bool in_turns = true;
  /// Cores that run the whole model meanwhile, as the other stages of a pipeline will: what shares
  /// caches and memory is slower then, and not all segments by as much.
  std::uint32_t busy_cores = 0;
  std::function<Nanoseconds()> clock = {};  // the time since some moment; empty: steady_clock
};

/// Cuts a segment out of the model in memory, opens it on the backend and times it: the median
/// share of the whole model's time, times the fastest run of that; or, not in turns, the fastest
/// run. Graph and its model must outlive it. The callable is for one thread at a time, and throws
/// as extract_segment and Backend::open, as does this function for the whole model.
[[nodiscard]] SegmentLatency measured_latency(const Graph& graph,
                                              std::shared_ptr<const Backend> backend,
                                              const MeasureOptions& options = {});

/// The host with the times of those operators of a model that the device leaves to it, or may leave
/// to it since they depend on an operator left to it, each run alone on the backend: the fastest of
/// `options.runs` runs. One that cannot be run alone keeps its estimate. Takes a moment for each
/// operator. Throws as Backend::open where the runtime is unfit.
[[nodiscard]] HostCompute measured_host(HostCompute host, const Graph& graph,
                                        const Backend& backend, const MeasureOptions& options = {});

}  // namespace segue
