// Binds backends and sessions, which are models opened on them.
#include "session.h"

#include <dlfcn.h>

#include <cstdlib>

#include "module.h"
#include "segue/edgetpu.h"
#include "segue/error.h"
#include "segue/pipeline.h"

namespace segue::python {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRuntime = "libtensorflowlite_c.so";

// The folder that this module was loaded from.
fs::path module_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&module_folder), &info) == 0) return {};
  return fs::path(info.dli_fname).parent_path();
}

std::vector<fs::path> candidates(const std::optional<fs::path>& named, const char* variable,
                                 const char* library) {
  if (named) return {*named};
  const char* value = std::getenv(variable);
  if (value != nullptr && *value != '\0') return {value};
  return {library};
}

// A Python function that computes a segment, for example with an interpreter of tflite_runtime. The
// last user, in any thread, needs the interpreter's lock to drop the function.
struct Function {
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  nb::callable run;

  Function(std::vector<Port> reads, std::vector<Port> gives, nb::callable callable)
      : inputs(std::move(reads)), outputs(std::move(gives)), run(std::move(callable)) {}
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  ~Function() {
    const nb::gil_scoped_acquire held;
    run.reset();
  }
};

class FunctionSession : public Session {
 public:
  explicit FunctionSession(std::shared_ptr<const Function> function)
      : function_(std::move(function)) {}

  [[nodiscard]] std::span<const Port> inputs() const override { return function_->inputs; }
  [[nodiscard]] std::span<const Port> outputs() const override { return function_->outputs; }

  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    const nb::gil_scoped_acquire held;
    try {
      nb::list arrays;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const Port& port = function_->inputs[i];
        arrays.append(view_of(inputs[i], port.type, port.shape, nb::none()));
      }
      const nb::object results = function_->run(arrays);
      outputs.resize(function_->outputs.size());
      for (std::size_t i = 0; i < outputs.size(); ++i)
        take(results[i], function_->outputs[i], outputs[i]);
    } catch (const nb::python_error& error) {
      throw Error(ErrorCode::kDevice, error.what());
    } catch (const nb::cast_error&) {
      throw Error(ErrorCode::kDevice, "the function did not return one array per output");
    }
  }

 private:
  static void take(const nb::object& result, const Port& port, TensorBytes& value) {
    const auto array = nb::cast<InputArray>(result);
    check_fits(array, port, "output");
    const auto* bytes = static_cast<const std::byte*>(array.data());
    value.assign(bytes, bytes + array.nbytes());
  }

  std::shared_ptr<const Function> function_;
};

class FunctionBackend : public Backend {
 public:
  explicit FunctionBackend(std::shared_ptr<const Function> function)
      : function_(std::move(function)) {}
  [[nodiscard]] std::string description() const override { return "a Python function"; }
  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> /*model*/,
                                              const std::string& /*name*/) const override {
    return std::make_unique<FunctionSession>(function_);
  }

 private:
  std::shared_ptr<const Function> function_;
};

// A session and the model that it reads; only one thread may use it at a time.
struct OpenedSession {
  SharedModel model;
  SharedBackend backend;
  std::unique_ptr<Session> session;
};

std::vector<OutputArray> run(OpenedSession& opened, const std::vector<InputArray>& arrays) {
  const auto ports = opened.session->inputs();
  if (arrays.size() != ports.size()) {
    throw Error(ErrorCode::kInvalidArgument, std::to_string(arrays.size()) + " inputs given, but " +
                                                 opened.model->model.name() + " has " +
                                                 std::to_string(ports.size()));
  }
  std::vector<std::span<const std::byte>> inputs;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    check_fits(arrays[i], ports[i]);
    inputs.emplace_back(static_cast<const std::byte*>(arrays[i].data()), arrays[i].nbytes());
  }
  std::vector<TensorBytes> outputs;
  {
    nb::gil_scoped_release released;
    opened.session->run_into(inputs, outputs);
  }
  std::vector<OutputArray> results;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    results.push_back(to_array(std::move(outputs[i]), opened.session->outputs()[i]));
  return results;
}

void bind_backends(nb::module_& module) {
  nb::class_<Backend>(module, "Backend", "A backend that runs segments.")
      .def_prop_ro("description", &Backend::description)
      .def_prop_ro(
          "temperature_c",
          [](const Backend& self) {
            const nb::gil_scoped_release released;
            return self.temperature_c();
          },
          "Temperature of the device, if its driver reports it.");
  module.def(
      "cpu_backend",
      [](int threads, const std::string& kernels, const std::optional<fs::path>& runtime) {
        const auto libraries = runtime_candidates(runtime);
        const nb::gil_scoped_release released;
        return SharedBackend(make_cpu_backend(
            {.libraries = libraries, .threads = threads, .kernels = parse_kernels(kernels)}));
      },
      nb::kw_only(), "threads"_a = 1, "kernels"_a = "builtin", "runtime"_a = nb::none(),
      "TensorFlow Lite on this machine's cores.");
  module.def(
      "simulated_backend",
      [](const std::string& device, double time_scale, const std::optional<fs::path>& runtime) {
        const auto libraries = runtime_candidates(runtime);
        const nb::gil_scoped_release released;
        return SharedBackend(make_simulated_backend(make_cpu_backend({.libraries = libraries}),
                                                    open_device(device), time_scale));
      },
      "device"_a = "edgetpu-pcie", nb::kw_only(), "time_scale"_a = 1.0, "runtime"_a = nb::none(),
      "Computes on the CPU, and takes the simulated time of the device multiplied by time_scale.");
  module.def(
      "callable_backend",
      [](std::vector<Port> inputs, std::vector<Port> outputs, nb::callable run) {
        return SharedBackend(std::make_shared<FunctionBackend>(std::make_shared<const Function>(
            std::move(inputs), std::move(outputs), std::move(run))));
      },
      "inputs"_a, "outputs"_a, "run"_a,
      "A Python function from a list of arrays to a list of arrays. Its input arrays are valid "
      "until it returns.");
}

void bind_runtimes(nb::module_& module) {
  module.def(
      "runtime_names",
      [] {
        std::vector<std::string> names;
        for (const RuntimeRow& row : runtime_table()) names.emplace_back(row.key);
        return names;
      },
      "The runtimes that open_devices and `segue run --backend` accept.");
  module.def(
      "open_devices",
      [](const std::string& runtime, std::uint32_t count, const std::vector<std::string>& use,
         const std::optional<std::string>& device, double time_scale,
         const std::vector<std::string>& settings, const std::optional<fs::path>& library,
         const std::optional<fs::path>& edgetpu_library) {
        RuntimeRequest request{.devices = count, .names = use};
        request.libraries = edgetpu_libraries(library, edgetpu_library);
        const nb::gil_scoped_release released;
        request.edgetpu.settings = parse_edgetpu_settings(settings);
        if (device) request.pools = open_devices(*device, count);
        request.time_scale = time_scale;
        std::vector<std::pair<std::string, SharedBackend>> devices;
        for (PipelineDevice& opened : find_runtime(runtime).open(request))
          devices.emplace_back(std::move(opened.name), std::move(opened.backend));
        return devices;
      },
      "runtime"_a, "count"_a = 1, nb::kw_only(), "use"_a = std::vector<std::string>(),
      "device"_a = nb::none(), "time_scale"_a = 1.0, "settings"_a = std::vector<std::string>(),
      "runtime_library"_a = nb::none(), "edgetpu_library"_a = nb::none(),
      "Names and backends of at least `count` devices of a runtime: \"cpu\", \"simulated\" (with "
      "`device`), or \"edgetpu\" (`use`: which ones, in this order).");
}

void bind_edgetpu(nb::module_& module) {
  module.def(
      "edgetpu_backend",
      [](const std::string& device, const std::optional<fs::path>& runtime,
         const std::optional<fs::path>& edgetpu_library, const std::vector<std::string>& settings) {
        const EdgeTpuLibraries libraries = edgetpu_libraries(runtime, edgetpu_library);
        const nb::gil_scoped_release released;
        return SharedBackend(make_edgetpu_backend(
            libraries, find_edgetpu_device(list_edgetpu_devices(libraries), device),
            {.settings = parse_edgetpu_settings(settings)}));
      },
      "device"_a, nb::kw_only(), "runtime"_a = nb::none(), "edgetpu_library"_a = nb::none(),
      "settings"_a = std::vector<std::string>(),
      "One Edge TPU: pci:apex_0, usb:2-1, its path, or its place in edgetpu_devices(). It runs "
      "in a separate process. `settings` for libedgetpu, as in [\"Performance=Max\"].");
  module.def(
      "edgetpu_devices",
      [](const std::optional<fs::path>& runtime, const std::optional<fs::path>& edgetpu_library) {
        const EdgeTpuLibraries libraries = edgetpu_libraries(runtime, edgetpu_library);
        const nb::gil_scoped_release released;
        std::vector<std::pair<std::string, std::string>> found;
        for (const EdgeTpuDevice& device : list_edgetpu_devices(libraries))
          found.emplace_back(device.name(), device.path);
        return found;
      },
      nb::kw_only(), "runtime"_a = nb::none(), "edgetpu_library"_a = nb::none(),
      "Name and path of each Edge TPU of this machine.");
}

void bind_ports(nb::module_& module) {
  nb::class_<Port>(module, "Port", "An input or output tensor of a session.")
      .def(
          "__init__",
          [](Port* self, std::string name, const InputArray& like) {
            new (self) Port{std::move(name), type_of(like), shape_of(like), like.nbytes()};
          },
          "name"_a, "like"_a, "Data type and shape as in numpy.")
      .def_ro("name", &Port::name)
      .def_prop_ro("type", [](const Port& port) { return std::string(to_string(port.type)); })
      .def_ro("shape", &Port::shape)
      .def_ro("nbytes", &Port::bytes)
      .def("__repr__", [](const Port& port) {
        return "<segue.Port '" + port.name + "' " + std::string(to_string(port.type)) + ">";
      });
}

}  // namespace

std::vector<Port> ports_of(std::span<const Port> ports) { return {ports.begin(), ports.end()}; }

std::vector<fs::path> runtime_candidates(const std::optional<fs::path>& runtime) {
  auto result = candidates(runtime, "SEGUE_TFLITE_LIB", kRuntime);
  if (result.size() == 1 && result[0] == kRuntime)
    result.insert(result.begin(), module_folder() / kRuntime);
  return result;
}

EdgeTpuLibraries edgetpu_libraries(const std::optional<fs::path>& runtime,
                                   const std::optional<fs::path>& edgetpu_library) {
  return {.runtimes = runtime_candidates(runtime),
          .delegates = candidates(edgetpu_library, "SEGUE_EDGETPU_LIB", "libedgetpu.so.1")};
}

void bind_sessions(nb::module_& module) {
  bind_backends(module);
  bind_edgetpu(module);
  bind_runtimes(module);
  bind_ports(module);
  nb::class_<OpenedSession>(module, "Session", "A model opened on a backend; one thread at a time.")
      .def_prop_ro("inputs",
                   [](const OpenedSession& self) { return ports_of(self.session->inputs()); })
      .def_prop_ro("outputs",
                   [](const OpenedSession& self) { return ports_of(self.session->outputs()); })
      .def("run", &run, "inputs"_a,
           "Runs once: takes arrays in the order of inputs, and returns arrays in the order of "
           "outputs.");
  module.def(
      "open_session",
      [](const SharedModel& model, const SharedBackend& backend) {
        nb::gil_scoped_release released;
        SharedBackend isolated = isolate(backend);
        auto session = isolated->open(model->model.bytes(), model->model.name());
        return OpenedSession{model, std::move(isolated), std::move(session)};
      },
      "model"_a, "backend"_a, "Opens a model; an Edge TPU runs in a separate process.");
}

}  // namespace segue::python
