#include <fmt/format.h>
#include <fmt/ranges.h>

#include "segue/calibrate.h"
#include "segue/error.h"
#include "segue/verify.h"
#include "zoo/architectures.h"
#include "zoo/pieces.h"
#include "zoo/serialize.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using zoo::Network;
using zoo::square;
using zoo::ValueId;

constexpr std::int32_t kMap = 64;      // pixels, high and wide
constexpr std::int32_t kFilters = 64;  // as many as a tile computes at a time

Network network(const std::string& what) { return Network("segue-probe-" + what); }

Model invoke_probe() {
  Network net = network("invoke");
  return zoo::model_of(net, zoo::sample(net, net.input({16, 16, 3}, "input"), 4, 4));
}

// 9.4 MB of weights: more than the memory of an Edge TPU, and layers are cached as a whole.
Model link_probe() {
  constexpr std::int32_t kUnits = 3072;
  Network net = network("link");
  // Google's compiler knows no other dense layers.
  net.use_one_scale_per_dense_layer();
  const ValueId x = net.input({.channels = kUnits, .is_vector = true}, "input");
  return zoo::model_of(net, net.dense(x, {kUnits, false}, "dense", "dense"));
}

Model input_probe() {
  Network net = network("input");
  return zoo::model_of(net, zoo::sample(net, net.input({kMap, kMap, kFilters}, "input"), 4, 4));
}

Model output_probe() {
  Network net = network("output");
  return zoo::model_of(net, zoo::sample(net, net.input({kMap, kMap, 3}, "input"), 1, kFilters));
}

Model clock_probe() {
  constexpr std::int32_t kLayers = 6;
  Network net = network("clock");
  const ValueId x = net.input({kMap, kMap, 3}, "input");
  return zoo::model_of(
      net, zoo::sample(net, zoo::conv_chain(net, x, kLayers, square(7), kFilters), 4, 4));
}

// Many operators, depthwise ones among them.
Model small_network() {
  return parse_model(zoo::serialize(zoo::mobilenet(128)), "segue-probe-mobilenet");
}

// Large maps between convolutions and out of the last.
Model maps_network() {
  Network net = network("maps");
  const ValueId x = net.input({kMap, kMap, 3}, "input");
  return zoo::model_of(net, zoo::conv_chain(net, x, 3, square(3), kFilters / 2));
}

// A convolution of 9.4 MB, which streams.
Model streaming_network() {
  constexpr std::int32_t kWide = 1024;
  constexpr std::int32_t kNarrowMap = 8;
  Network net = network("streaming");
  const ValueId x = net.input({kNarrowMap, kNarrowMap, kWide}, "input");
  return zoo::model_of(net, zoo::conv_chain(net, x, 1, square(3), kWide));
}

std::string describe(const Model& model, std::span<const TensorId> tensors) {
  std::string text;
  for (const TensorId id : tensors) {
    const Tensor& tensor = model.tensor(id);
    text += fmt::format("{}'{}' {} {}", text.empty() ? "" : ", ", tensor.name,
                        to_string(tensor.type), fmt::join(tensor.shape, "x"));
  }
  return text;
}

// Why a file is not this probe compiled as a whole; empty where it is.
std::string difference(const Model& compiled, const Model& probe) {
  if (!is_compiled(compiled)) return "nothing in it is compiled for the Edge TPU";
  if (compiled.operators().size() > 1) {
    return fmt::format("of its {} operators some are left to the host",
                       compiled.operators().size());
  }
  const auto compare = [](const char* what, const std::string& found, const std::string& wanted) {
    return found == wanted ? "" : fmt::format("{} {} instead of {}", what, found, wanted);
  };
  const std::string inputs =
      compare("inputs", describe(compiled, compiled.inputs()), describe(probe, probe.inputs()));
  if (!inputs.empty()) return inputs;
  return compare("outputs", describe(compiled, compiled.outputs()),
                 describe(probe, probe.outputs()));
}

}  // namespace

std::vector<Probe> make_probes() {
  std::vector<Probe> probes;
  probes.push_back({invoke_probe(), "invoke"});
  probes.push_back({link_probe(), "link"});
  probes.push_back({input_probe(), "input"});
  probes.push_back({output_probe(), "output"});
  probes.push_back({clock_probe(), "clock"});
  probes.push_back({small_network(), ""});
  probes.push_back({maps_network(), ""});
  probes.push_back({streaming_network(), ""});
  return probes;
}

std::vector<Model> compile_probes(std::span<const Probe> probes, const fs::path& folder,
                                  const EdgeTpuCompilerOptions& options) {
  std::vector<Model> result;
  for (const Probe& probe : probes) {
    const std::string& name = probe.model.name();
    const std::span<const std::byte> bytes = probe.model.runnable_bytes();
    Compilation compilation = compile_for_edgetpu(std::span(&bytes, 1), name, folder, options);
    if (!compilation.succeeded()) {
      throw Error(ErrorCode::kCompiler,
                  fmt::format("{}: {}", name, compilation.failure->sentence()));
    }
    result.push_back(parse_model(std::move(compilation.compiled), name));
    const std::string reason = difference(result.back(), probe.model);
    if (reason.empty()) continue;
    throw Error(ErrorCode::kCompiler,
                fmt::format("{}: the compiler did not compile all of it: {}; try another version "
                            "of it (16 is the last)",
                            name, reason));
  }
  return result;
}

std::vector<Model> read_compiled_probes(std::span<const Probe> probes, const fs::path& folder) {
  std::vector<Model> result;
  for (const Probe& probe : probes) {
    const fs::path file = folder / compiled_file_name(probe.model.name() + ".tflite");
    std::error_code absent;
    if (!fs::exists(file, absent)) {
      throw Error(ErrorCode::kIo,
                  fmt::format("{}: not there; compile the files of `segue calibrate --write-probes "
                              "DIR` with edgetpu_compiler",
                              file.string()));
    }
    result.push_back(read_model(file));
    const std::string reason = difference(result.back(), probe.model);
    if (reason.empty()) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: is not the probe {} compiled: {}; write the probes with `segue "
                            "calibrate --write-probes DIR`, and compile them with edgetpu_compiler",
                            file.string(), probe.model.name(), reason));
  }
  return result;
}

}  // namespace segue
