// Binds pipelines: arrays are not copied, and waiting threads do not hold the interpreter's lock.
#include "segue/pipeline.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "module.h"
#include "released.h"
#include "segue/error.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/verify.h"
#include "session.h"

namespace segue::python {
namespace {

struct Result {
  std::uint64_t number = 0;
  std::int64_t latency_ns = 0;
  nb::dict outputs;
};

Nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::duration_cast<Nanoseconds>(
      std::chrono::duration<double>(std::clamp(seconds, 0.0, to_s(kLongestWait))));
}

class ArrayPipeline {
 public:
  // The caller must not hold the interpreter's lock, because Python functions may be opened as
  // segments.
  ArrayPipeline(PipelineLayout layout, std::vector<PipelineDevice> devices, PipelineOptions options)
      : pipeline_(
            std::make_unique<Pipeline>(std::move(layout), std::move(devices), std::move(options))) {
    const nb::gil_scoped_acquire held;
    input_names_ = names_of(pipeline_->inputs());
    output_names_ = names_of(pipeline_->outputs());
  }
  ArrayPipeline(const ArrayPipeline&) = delete;
  ArrayPipeline& operator=(const ArrayPipeline&) = delete;
  ~ArrayPipeline() {
    if (::getpid() != process_) {  // a forked child does not have these threads
      (void)pipeline_.release();
      return;
    }
    {
      nb::gil_scoped_release released;
      pipeline_.reset();
    }
    released_->end();
  }

  [[nodiscard]] Pipeline& pipeline() const { return *pipeline_; }

  // Cancels and waits for the threads inside push and pop, which must leave these calls before the
  // program ends, while they can still take the interpreter's lock.
  void end() const {
    constexpr auto kLongest = std::chrono::seconds(5);
    constexpr auto kLook = std::chrono::milliseconds(1);
    const nb::gil_scoped_release released;
    pipeline_->cancel();
    const auto until = std::chrono::steady_clock::now() + kLongest;
    while (callers_ > 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(kLook);
  }

  // Pushes an array per input: by name, in order, or the only one. Returns whether the pipeline
  // took them in time.
  bool push(nb::handle inputs, std::optional<double> timeout_s) {
    released_->drop();
    std::vector<BorrowedTensor> tensors = borrow(arrays_of(inputs));
    const Flow flow = wait(timeout_s, [&](Nanoseconds slice) {
      return pipeline_->push_borrowed(std::move(tensors), slice);
    });
    if (flow == Flow::kClosed)
      throw Error(ErrorCode::kInvalidArgument, "the pipeline is closed and takes no more inputs");
    return flow == Flow::kOk;
  }

  // Returns nothing if the pipeline is closed and all results were popped. Raises TimeoutError.
  std::optional<Result> pop(std::optional<double> timeout_s) {
    PipelineResult result;
    const Flow flow =
        wait(timeout_s, [&](Nanoseconds slice) { return pipeline_->pop(result, slice); });
    released_->drop();
    if (flow == Flow::kClosed) return std::nullopt;
    if (flow == Flow::kTimeout) {
      PyErr_SetString(PyExc_TimeoutError, "no result within the timeout");
      throw nb::python_error();
    }
    Result answer{result.number, result.latency.count(), {}};
    const auto ports = pipeline_->outputs();
    for (std::size_t i = 0; i < ports.size(); ++i)
      answer.outputs[output_names_[i]] = to_array(std::move(result.outputs[i]), ports[i]);
    return answer;
  }

 private:
  [[noreturn]] void fail_on_count(std::size_t given) const {
    throw Error(ErrorCode::kInvalidArgument, std::to_string(given) +
                                                 " inputs given, but the pipeline has " +
                                                 std::to_string(pipeline_->inputs().size()));
  }

  InputArray array_of(nb::handle value, std::size_t position) const {
    try {
      return nb::cast<InputArray>(value);
    } catch (const nb::cast_error&) {
      if (position >= input_names_.size()) fail_on_count(position + 1);
      throw Error(ErrorCode::kInvalidArgument, "input '" + pipeline_->inputs()[position].name +
                                                   "': expected a numpy array, not " +
                                                   nb::type_name(value.type()).c_str());
    }
  }

  std::vector<InputArray> arrays_of(nb::handle inputs) const {
    std::vector<InputArray> arrays;
    if (nb::isinstance<nb::dict>(inputs)) {
      const nb::dict named = nb::borrow<nb::dict>(inputs);
      if (named.size() > input_names_.size()) fail_on_count(named.size());
      for (std::size_t i = 0; i < input_names_.size(); ++i) {
        if (!named.contains(input_names_[i])) {
          throw Error(ErrorCode::kInvalidArgument,
                      "input '" + pipeline_->inputs()[i].name + "' is missing in " +
                          nb::cast<std::string>(nb::repr(named.keys())));
        }
        arrays.push_back(array_of(named[input_names_[i]], i));
      }
    } else if (nb::isinstance<nb::list>(inputs) || nb::isinstance<nb::tuple>(inputs)) {
      for (const nb::handle array : inputs) arrays.push_back(array_of(array, arrays.size()));
    } else {
      arrays.push_back(array_of(inputs, 0));
    }
    if (arrays.size() != input_names_.size()) fail_on_count(arrays.size());
    return arrays;
  }

  std::vector<BorrowedTensor> borrow(std::vector<InputArray> given) const {
    auto arrays = std::make_unique<std::vector<InputArray>>(std::move(given));
    const auto ports = pipeline_->inputs();
    for (std::size_t i = 0; i < ports.size(); ++i) check_fits((*arrays)[i], ports[i]);
    const std::shared_ptr<std::vector<InputArray>> owner(
        arrays.release(),
        [released = released_](std::vector<InputArray>* all) { released->add(all); });
    std::vector<BorrowedTensor> tensors;
    for (const InputArray& array : *owner) {
      tensors.push_back({{static_cast<const std::byte*>(array.data()), array.nbytes()}, owner});
    }
    return tensors;
  }

  // Tries without the interpreter's lock, and takes the lock from time to time so that an interrupt
  // ends the wait.
  template <typename Try>
  Flow wait(std::optional<double> timeout_s, const Try& attempt) {
    const Inside inside(callers_);
    using Clock = std::chrono::steady_clock;
    constexpr Nanoseconds kSlice = std::chrono::milliseconds(100);
    if (timeout_s && std::isnan(*timeout_s))
      throw Error(ErrorCode::kInvalidArgument, "timeout_s is not a number; give seconds, or None");
    const auto begin = Clock::now();
    const Nanoseconds timeout = timeout_s ? nanoseconds_of(*timeout_s) : Nanoseconds::max();
    while (true) {
      const Nanoseconds left = timeout_s ? timeout - (Clock::now() - begin) : kSlice;
      const Nanoseconds slice = std::clamp(left, Nanoseconds(0), kSlice);
      Flow flow{};
      {
        nb::gil_scoped_release released;
        flow = attempt(slice);
      }
      if (flow != Flow::kTimeout || (timeout_s && left <= kSlice)) return flow;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
  }

  // Counts a thread while it is inside a call.
  class Inside {
   public:
    explicit Inside(std::atomic<int>& count) : count_(count) { ++count_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { --count_; }

   private:
    std::atomic<int>& count_;
  };

  static std::vector<nb::str> names_of(std::span<const Port> ports) {
    std::vector<nb::str> names;
    for (const Port& port : ports) names.push_back(nb::cast<nb::str>(nb::cast(port.name)));
    return names;
  }

  std::atomic<int> callers_ = 0;
  std::vector<nb::str> input_names_;
  std::vector<nb::str> output_names_;
  std::shared_ptr<Released> released_ = std::make_shared<Released>();
  std::unique_ptr<Pipeline> pipeline_;
  pid_t process_ = ::getpid();
};

// A Python function; its callers do not hold the interpreter's lock, which is taken to call and
// free it.
class Callback {
 public:
  explicit Callback(nb::callable function)
      : function_(new nb::callable(std::move(function)), [](nb::callable* held_function) {
          const nb::gil_scoped_acquire held;
          delete held_function;
        }) {}
  template <typename... Arguments>
  void operator()(const Arguments&... arguments) const {
    const nb::gil_scoped_acquire held;
    try {
      (*function_)(arguments...);
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("segue.Pipeline, on_loss");
    }
  }

 private:
  std::shared_ptr<nb::callable> function_;
};

// Settings that all kinds of sources have.
struct OpenOptions {
  std::uint32_t queue_capacity = 2;
  std::uint32_t result_capacity = 2;
  double watchdog_s = 30;
  std::size_t trace_capacity = 0;
  std::optional<nb::callable> on_loss;
};

// Called with the interpreter's lock.
PipelineOptions options_of(const OpenOptions& given) {
  PipelineOptions options;
  options.queue_capacity = given.queue_capacity;
  options.result_capacity = given.result_capacity;
  if (!(given.watchdog_s >= 0)) {
    throw Error(ErrorCode::kInvalidArgument, "watchdog_s must be seconds, or 0 for none, not " +
                                                 std::to_string(given.watchdog_s));
  }
  options.watchdog = nanoseconds_of(given.watchdog_s);
  options.trace_capacity = given.trace_capacity;
  if (given.on_loss) options.on_loss = Callback(*given.on_loss);
  return options;
}

// Returns whether the backends are Edge TPUs, which take compiled segments.
bool want_compiled(const std::vector<SharedBackend>& backends) {
  if (backends.empty() || std::ranges::find(backends, nullptr) != backends.end())
    throw Error(ErrorCode::kInvalidArgument,
                "a pipeline needs at least one backend, and no backend may be None");
  const auto count = std::ranges::count_if(
      backends, [](const SharedBackend& backend) { return backend->wants_compiled(); });
  if (count > 0 && static_cast<std::size_t>(count) < backends.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                "Edge TPUs and other backends cannot share a pipeline: only Edge TPUs can open "
                "compiled segments");
  }
  return count > 0;
}

// Makes a device of each backend, or all needed devices of a single backend.
std::vector<PipelineDevice> devices_of(const std::vector<SharedBackend>& backends,
                                       std::uint32_t needed) {
  if (want_compiled(backends) && backends.size() < needed) {
    throw Error(ErrorCode::kDevice,
                "the pipeline needs " + std::to_string(needed) + " Edge TPUs, but got " +
                    std::to_string(backends.size()) +
                    "; pass one backend for each, or use a split with fewer segments");
  }
  std::vector<PipelineDevice> devices;
  const std::size_t count = backends.size() == 1 ? needed : backends.size();
  for (std::size_t i = 0; i < count; ++i)
    devices.push_back({"device " + std::to_string(i), backends[backends.size() == 1 ? 0 : i]});
  return devices;
}

std::unique_ptr<ArrayPipeline> open(PipelineLayout layout,
                                    const std::vector<SharedBackend>& backends,
                                    PipelineOptions options) {
  auto devices = devices_of(backends, layout.device_count());
  return std::make_unique<ArrayPipeline>(std::move(layout), std::move(devices), std::move(options));
}

// Issues the notes as warnings at the line that made the segue.Pipeline.
void warn(const std::vector<std::string>& notes) {
  const nb::gil_scoped_acquire held;
  const nb::object show = nb::module_::import_("warnings").attr("warn");
  constexpr int kCaller = 2;
  for (const std::string& note : notes) show(note, nb::handle(PyExc_RuntimeWarning), kCaller);
}

PipelineLayout layout_of_folder(const std::filesystem::path& folder, bool compiled) {
  Split split = read_split(folder, compiled ? SegmentFiles::kCompiled : SegmentFiles::kCut);
  if (compiled) warn(notes_on_uncompiled(split));
  const auto replicas = split.plan ? replicas_of(*split.plan) : std::vector<std::uint32_t>{};
  return pipeline_layout(std::move(split.segments), replicas);
}

// Returns a function that makes a new plan for the remaining devices, which needs the model.
std::function<std::optional<PipelineLayout>(std::uint32_t)> replanning(const SharedModel& model,
                                                                       const Plan& plan) {
  return [model, devices = plan.devices](std::uint32_t count) -> std::optional<PipelineLayout> {
    const auto pools = open_devices(devices, count);
    if (pools.size() > 1) return std::nullopt;
    return pipeline_layout(model->model,
                           plan_by_strategy(model->graph, pools, Strategy::kOptimal).plan);
  };
}

void bind_opening(nb::module_& module) {
  nb::class_<OpenOptions>(module, "PipelineOptions")
      .def(
          "__init__",
          [](OpenOptions* self, std::uint32_t queue, std::uint32_t results, double watchdog_s,
             std::size_t trace_capacity, std::optional<nb::callable> on_loss) {
            new (self) OpenOptions{queue, results, watchdog_s, trace_capacity, std::move(on_loss)};
          },
          "queue_capacity"_a = 2, "result_capacity"_a = 2, "watchdog_s"_a = 30.0,
          "trace_capacity"_a = 0, "on_loss"_a = nb::none());
  nb::class_<DeviceLoss>(module, "DeviceLoss", "A device that was lost.")
      .def_ro("device", &DeviceLoss::device)
      .def_ro("segment", &DeviceLoss::segment)
      .def_ro("reason", &DeviceLoss::reason)
      .def_ro("remedy", &DeviceLoss::remedy, "What replaces it.");
  module.def(
      "open_pipeline",
      [](const SharedModel& model, const std::shared_ptr<const DevicedPlan>& plan,
         const std::vector<SharedBackend>& backends, const OpenOptions& given) {
        PipelineOptions options = options_of(given);
        options.replan = replanning(model, plan->plan);
        const nb::gil_scoped_release released;
        if (want_compiled(backends)) {
          throw Error(ErrorCode::kInvalidArgument,
                      "Edge TPUs need compiled segments: write them with segue.split, compile them "
                      "with segue.compile, and open segue.Pipeline(FOLDER)");
        }
        return open(pipeline_layout(model->model, plan->plan), backends, std::move(options));
      },
      "model"_a, "plan"_a, "backends"_a, "options"_a = OpenOptions());
  module.def(
      "open_pipeline_of_folder",
      [](const std::filesystem::path& folder, const std::vector<SharedBackend>& backends,
         const OpenOptions& given) {
        PipelineOptions options = options_of(given);
        const nb::gil_scoped_release released;
        return open(layout_of_folder(folder, want_compiled(backends)), backends,
                    std::move(options));
      },
      "folder"_a, "backends"_a, "options"_a = OpenOptions());
  module.def(
      "open_pipeline_of_files",
      [](const std::vector<std::filesystem::path>& files,
         const std::vector<SharedBackend>& backends, const OpenOptions& given) {
        PipelineOptions options = options_of(given);
        const nb::gil_scoped_release released;
        return open(pipeline_layout(files, {}), backends, std::move(options));
      },
      "files"_a, "backends"_a, "options"_a = OpenOptions());
  module.def(
      "open_pipeline_of_callables",
      [](const std::vector<SharedBackend>& backends, const OpenOptions& given) {
        PipelineOptions options = options_of(given);
        const nb::gil_scoped_release released;
        PipelineLayout layout;
        for (std::size_t i = 0; i < backends.size(); ++i)
          layout.segments.push_back({"segment " + std::to_string(i), {}, nullptr, 1});
        return open(std::move(layout), backends, std::move(options));
      },
      "backends"_a, "options"_a = OpenOptions());
}

void bind_result(nb::module_& module) {
  nb::class_<Result>(module, "Result", "Result of one input.")
      .def_ro("number", &Result::number, "The number of the input, from 0.")
      .def_ro("latency_ns", &Result::latency_ns,
              "The time from the accepted push until the result is available.")
      .def_ro("outputs", &Result::outputs, nb::sig("def outputs(self) -> dict[str, numpy.ndarray]"),
              "Arrays by the names of the outputs.");
}

}  // namespace

void bind_pipelines(nb::module_& module) {
  bind_result(module);
  nb::class_<ArrayPipeline>(module, "RawPipeline")
      .def_prop_ro("inputs",
                   [](const ArrayPipeline& self) { return ports_of(self.pipeline().inputs()); })
      .def_prop_ro("outputs",
                   [](const ArrayPipeline& self) { return ports_of(self.pipeline().outputs()); })
      .def("push", &ArrayPipeline::push, "inputs"_a, "timeout_s"_a = nb::none(),
           nb::sig("def push(self, inputs: object, timeout_s: float | None = None) -> bool"))
      .def("pop", &ArrayPipeline::pop, "timeout_s"_a = nb::none())
      .def(
          "set_capacities",
          [](const ArrayPipeline& self, std::uint32_t queue, std::uint32_t results) {
            self.pipeline().set_capacities(queue, results);
          },
          "queue"_a, "results"_a, nb::call_guard<nb::gil_scoped_release>())
      .def(
          "close", [](const ArrayPipeline& self) { self.pipeline().close(); },
          nb::call_guard<nb::gil_scoped_release>())
      .def(
          "cancel", [](const ArrayPipeline& self) { self.pipeline().cancel(); },
          nb::call_guard<nb::gil_scoped_release>())
      .def("end", &ArrayPipeline::end)
      .def(
          "trace_json",
          [](const ArrayPipeline& self, const std::string& name) {
            return trace_json(name, self.pipeline().trace());
          },
          "name"_a, nb::call_guard<nb::gil_scoped_release>())
      .def(
          "losses", [](const ArrayPipeline& self) { return self.pipeline().statistics().losses; },
          nb::call_guard<nb::gil_scoped_release>())
      .def(
          "statistics", [](const ArrayPipeline& self) { return self.pipeline().statistics(); },
          nb::call_guard<nb::gil_scoped_release>());
  bind_opening(module);
}

}  // namespace segue::python
