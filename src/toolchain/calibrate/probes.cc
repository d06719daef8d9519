#include <fmt/format.h>
#include <fmt/ranges.h>

#include "segue/calibrate.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/verify.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

std::string describe(const Model& model, std::span<const TensorId> tensors) {
  std::string text;
  for (const TensorId id : tensors) {
    const Tensor& tensor = model.tensor(id);
    text += fmt::format("{}'{}' {} {}", text.empty() ? "" : ", ", tensor.name,
                        to_string(tensor.type), fmt::join(tensor.shape, "x"));
  }
  return text;
}

// Returns why the file is not this probe compiled as a whole. Empty if it is.
std::string difference(const Model& compiled, const Model& probe) {
  if (!is_compiled(compiled)) return "no part of it is compiled for the Edge TPU";
  if (compiled.operators().size() > 1) {
    return fmt::format("some of its {} operators are left to the host",
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

std::vector<fs::path> write_probes(std::span<const Probe> probes, const fs::path& folder) {
  std::vector<fs::path> written;
  StagedFiles files;
  for (const Probe& probe : probes) {
    const std::span<const std::byte> bytes = probe.model.runnable_bytes();
    written.push_back(folder / (probe.model.name() + ".tflite"));
    files.stage(written.back(), std::span(&bytes, 1));
  }
  files.commit();
  return written;
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
                fmt::format("{}: the compiler did not compile the whole probe: {}; try another "
                            "compiler version (16 is the latest)",
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
      throw Error(ErrorCode::kIo, fmt::format("{}: file not found; compile the files of `segue "
                                              "calibrate --write-probes DIR` with edgetpu_compiler",
                                              file.string()));
    }
    result.push_back(read_model(file));
    const std::string reason = difference(result.back(), probe.model);
    if (reason.empty()) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: not the compiled probe {}: {}; write the probes with `segue "
                            "calibrate --write-probes DIR`, and compile them with edgetpu_compiler",
                            file.string(), probe.model.name(), reason));
  }
  return result;
}

}  // namespace segue
