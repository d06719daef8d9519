#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "device/edgetpu/internal/room.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/toolchain.h"
#include "segue/verify.h"
#include "toolchain/parallel.h"

namespace segue {
namespace {

namespace fs = std::filesystem;

bool open_alike(const SetTpu& a, const SetTpu& b) {
  const auto same = [](const Resident& one, const Resident& other) {
    return one.model == other.model && one.stage == other.stage;
  };
  return a.sharing == b.sharing && std::ranges::equal(a.residents, b.residents, same);
}

// The first TPU that opens the same files.
std::uint32_t first_alike(const SetPlan& plan, std::uint32_t tpu) {
  std::uint32_t first = 0;
  while (!open_alike(plan.tpus[first], plan.tpus[tpu])) ++first;
  return first;
}

std::string folder_of(std::uint32_t tpu) { return fmt::format("tpu{}", tpu); }

std::string file_of(const SetModel& model, std::uint32_t stage) {
  return segment_file_name(model.demand.name, stage, model.plan.stages.size());
}

void check_models(const SetPlan& plan, std::span<const std::shared_ptr<const Model>> models) {
  if (models.size() != plan.models.size())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} models given, but the set has {}",
                                                         models.size(), plan.models.size()));
  for (std::size_t m = 0; m < models.size(); ++m)
    check_plan_matches(plan.models[m].plan, *models[m]);
}

// Residents that are compiled in one call, with the results.
struct Call {
  std::uint32_t tpu = 0;
  std::vector<std::size_t> residents;  // positions on the TPU
  std::vector<Model> segments;
  std::vector<FileCompilation> files;
};

std::vector<Call> calls_of(const SetPlan& plan,
                           std::span<const std::shared_ptr<const Model>> models) {
  std::vector<Call> calls;
  for (std::uint32_t t = 0; t < plan.tpus.size(); ++t) {
    if (first_alike(plan, t) != t) continue;
    const SetTpu& tpu = plan.tpus[t];
    for (std::size_t i = 0; i < tpu.residents.size(); ++i) {
      const Resident& resident = tpu.residents[i];
      if (i == 0 || tpu.sharing != Sharing::kCached) calls.push_back({t, {}, {}, {}});
      const SetModel& model = plan.models[resident.model];
      const std::string file = file_of(model, resident.stage);
      calls.back().residents.push_back(i);
      calls.back().segments.push_back(parse_model(
          extract_segment(*models[resident.model], model.plan.stages[resident.stage].operators)
              .to_bytes(),
          fs::path(file).stem().string()));
    }
  }
  return calls;
}

void perform(Call& call, const fs::path& folder, const CompileOptions& options,
             std::mutex& reporting) {
  auto compilations = co_compile_for_edgetpu(call.segments, folder, options.compiler);
  StagedFiles staged;
  for (std::size_t i = 0; i < compilations.size(); ++i) {
    FileCompilation& file = call.files.emplace_back();
    const std::string name = call.segments[i].name() + ".tflite";
    file.file = folder_of(call.tpu) + "/" + name;
    file.compiled_file = folder_of(call.tpu) + "/" + compiled_file_name(name);
    file.log_file = fmt::format("{}/{}_edgetpu.log", folder_of(call.tpu), call.segments[i].name());
    file.compilation = std::move(compilations[i]);
    if (options.on_compiled) {
      const std::lock_guard lock(reporting);
      options.on_compiled(file.file, file.compilation);
    }
    staged.stage(folder / file.log_file, file.compilation.transcript);
    const std::span<const std::byte> compiled = file.compilation.compiled;
    if (file.compilation.succeeded())
      staged.stage(folder / file.compiled_file, std::span(&compiled, 1));
  }
  staged.commit();
  for (FileCompilation& file : call.files) file.compilation.compiled = {};
}

// Takes over the compiler's bytes for one resident, and the time that follows.
void adopt_memory(SetPlan& plan, Resident& resident, const Model& whole, const CompilerLog& log,
                  const std::optional<std::vector<OperatorId>>& on_host, const DeviceSpec& device,
                  bool is_swapped) {
  const Graph graph(whole);
  const std::vector<OperatorId>& operators =
      plan.models[resident.model].plan.stages[resident.stage].operators;
  MemoryReport report{log.on_chip_bytes, log.host_bytes, 0, {}, log.version};
  if (on_host) {
    report.host_operators.emplace();
    for (const OperatorId id : *on_host) report.host_operators->push_back(operators[index(id)]);
  }
  resident.on_chip_bytes = log.on_chip_bytes;
  resident.host_bytes = log.host_bytes;
  resident.time = simulate_segment(graph, operators, report, device).total();
  resident.reload = is_swapped ? parameter_load_time(log.on_chip_bytes, device) : Nanoseconds(0);
}

void adopt_call(SetPlan& plan, const Call& call,
                std::span<const std::shared_ptr<const Model>> models, const DeviceSpec& device) {
  for (std::uint32_t t = 0; t < plan.tpus.size(); ++t) {
    if (first_alike(plan, t) != call.tpu) continue;
    SetTpu& tpu = plan.tpus[t];
    for (std::size_t i = 0; i < call.residents.size(); ++i) {
      Resident& resident = tpu.residents[call.residents[i]];
      const Compilation& compilation = call.files[i].compilation;
      adopt_memory(plan, resident, *models[resident.model], *compilation.log,
                   compilation.host_operators, device, tpu.sharing == Sharing::kSwapped);
    }
  }
}

void update_utilisation(SetPlan& plan) {
  for (SetTpu& tpu : plan.tpus) {
    tpu.utilisation = 0;
    for (const Resident& resident : tpu.residents) {
      const SetModel& model = plan.models[resident.model];
      const auto copies = static_cast<double>(model.tpus[resident.stage].size());
      tpu.utilisation += model.rate_per_s / copies * to_s(resident.time + resident.reload);
    }
  }
}

}  // namespace

SetCompilation compile_set(const SetPlan& plan,
                           std::span<const std::shared_ptr<const Model>> models,
                           const fs::path& folder, const CompileOptions& options) {
  check_models(plan, models);
  const auto pools = options.pools.empty()
                         ? open_devices(std::span(&plan.device, 1), plan.device.count)
                         : options.pools;
  std::vector<Call> calls = calls_of(plan, models);
  std::mutex reporting;
  for_each_in_parallel(calls.size(), options.jobs,
                       [&](std::size_t i) { perform(calls[i], folder, options, reporting); });
  SetCompilation result{{}, plan};
  for (Call& call : calls) std::ranges::copy(call.files, std::back_inserter(result.files.files));
  if (!result.files.succeeded()) return result;
  for (const Call& call : calls) adopt_call(result.plan, call, models, pools[0].device);
  update_utilisation(result.plan);
  write_file(folder / "set.json", to_json(result.plan));
  return result;
}

std::vector<SetRunModel> read_compiled_set(const SetPlan& plan,
                                           std::span<const std::shared_ptr<const Model>> models,
                                           const fs::path& folder) {
  if (!models.empty()) check_models(plan, models);
  std::vector<SetRunModel> result;
  for (std::size_t m = 0; m < plan.models.size(); ++m) {
    const SetModel& model = plan.models[m];
    SetRunModel& run = result.emplace_back();
    if (!models.empty()) {
      run.model = models[m];
      for (const TensorId id : run.model->inputs())
        run.layout.inputs.push_back(run.model->unique_name(id));
      for (const TensorId id : run.model->outputs())
        run.layout.outputs.push_back(run.model->unique_name(id));
    }
    for (std::uint32_t s = 0; s < model.tpus.size(); ++s) {
      for (const std::uint32_t t : model.tpus[s]) {
        const auto segment = std::make_shared<const Model>(read_model(
            folder / folder_of(first_alike(plan, t)) / compiled_file_name(file_of(model, s))));
        PipelineSegment file{segment->name(), segment->bytes(), segment,
                             static_cast<std::uint32_t>(model.tpus[s].size())};
        if (t == model.tpus[s][0]) run.layout.segments.push_back(file);
        run.files.emplace(t, std::move(file));
      }
    }
  }
  return result;
}

}  // namespace segue
