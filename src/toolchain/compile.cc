#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "segue/device.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/toolchain.h"
#include "segue/verify.h"
#include "toolchain/parallel.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

// Compiles a whole model or a segment.
FileCompilation compile_one(const Model& model, const fs::path& folder,
                            const CompileOptions& options, std::mutex& reporting) {
  FileCompilation result;
  result.file = model.name() + ".tflite";
  result.compiled_file = compiled_file_name(result.file);
  result.log_file = model.name() + "_edgetpu.log";
  const std::span<const std::byte> bytes = model.runnable_bytes();
  result.compilation =
      compile_for_edgetpu(std::span(&bytes, 1), model.name(), folder, options.compiler);
  Compilation& compilation = result.compilation;
  if (options.on_compiled) {
    const std::lock_guard lock(reporting);
    options.on_compiled(result.file, compilation);
  }
  StagedFiles files;
  files.stage(folder / result.log_file, compilation.transcript);
  const std::span<const std::byte> compiled = compilation.compiled;
  if (compilation.succeeded()) files.stage(folder / result.compiled_file, std::span(&compiled, 1));
  files.commit();
  compilation.compiled = {};
  result.looked_for_culprit = options.looks_for_culprit(compilation);
  if (!result.looked_for_culprit) return result;
  result.culprit = find_culprit(model, folder, options.compiler);
  if (!result.culprit) return result;
  for (const OperatorId id : result.culprit->operators)
    result.culprit_names.push_back(model.describe(id));
  return result;
}

std::vector<CompiledMemory> memory_of(const std::vector<FileCompilation>& files) {
  std::vector<CompiledMemory> memory;
  for (const FileCompilation& file : files) {
    const CompilerLog& log = *file.compilation.log;
    memory.push_back(
        {log.on_chip_bytes, log.host_bytes, log.version, file.compilation.host_operators});
  }
  return memory;
}

}  // namespace

bool CompileOptions::looks_for_culprit(const Compilation& compilation) const {
  return finds_culprits && compilation.failure && compilation.failure->may_have_culprit;
}

bool FolderCompilation::succeeded() const {
  return std::ranges::all_of(
      files, [](const FileCompilation& file) { return file.compilation.succeeded(); });
}

FolderCompilation compile_folder(const fs::path& folder, const CompileOptions& options) {
  const Split split = read_split(folder);
  FolderCompilation result;
  result.plan = split.plan;
  std::vector<DevicePool> pools = options.pools;
  if (result.plan && pools.empty())
    pools = open_devices(result.plan->devices, result.plan->device_count());
  if (result.plan && names_of(pools) != result.plan->devices) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the plan is for device '{}', not for '{}'; pass the file of that "
                            "device, or make a new plan",
                            folder.string(), result.plan->device_text(), to_string(pools)));
  }
  result.files.resize(split.segments.size());
  std::mutex reporting;
  for_each_in_parallel(split.segments.size(), options.jobs, [&](std::size_t i) {
    result.files[i] = compile_one(split.segments[i], folder, options, reporting);
  });
  if (!result.plan || !result.succeeded()) return result;
  result.plan = with_compiled_memory(*result.plan, split.segments, memory_of(result.files), pools);
  write_file(folder / kPlanFile, to_json(*result.plan));
  return result;
}

FileCompilation compile_model(const Model& model, const fs::path& folder,
                              const CompileOptions& options) {
  check_not_compiled(model);
  std::mutex reporting;
  return compile_one(model, folder, options, reporting);
}

PipelineLayout compiled_layout(const Model& model, const Plan& plan, const fs::path& folder,
                               const CompileOptions& options) {
  PipelineLayout layout = pipeline_layout(model, plan);
  for_each_in_parallel(layout.segments.size(), options.jobs, [&](std::size_t i) {
    PipelineSegment& segment = layout.segments[i];
    const std::span<const std::byte> bytes = segment.model;
    Compilation compilation =
        compile_for_edgetpu(std::span(&bytes, 1), segment.name, folder, options.compiler);
    if (!compilation.succeeded()) {
      throw Error(ErrorCode::kCompiler,
                  fmt::format("{}: {}", segment.name, compilation.failure->sentence()));
    }
    const auto compiled =
        std::make_shared<const std::vector<std::byte>>(std::move(compilation.compiled));
    segment.model = *compiled;
    segment.owner = compiled;
  });
  return layout;
}

}  // namespace segue
