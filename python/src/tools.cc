// Compilation for the Edge TPU, diagnosis, proofs, sweeps, calibration and report pages.
#include <algorithm>
#include <cstdlib>

#include "interruptible.h"
#include "module.h"
#include "segue/calibrate.h"
#include "segue/edgetpu.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/planner.h"
#include "segue/report.h"
#include "segue/sweep.h"
#include "segue/toolchain.h"
#include "segue/verify.h"
#include "segue/zoo.h"
#include "session.h"

namespace segue::python {
namespace {

namespace fs = std::filesystem;
using Shared = std::shared_ptr<const DevicedPlan>;

CompileOptions compile_options(const std::vector<std::string>& command, double timeout_s,
                               std::uint32_t attempts, std::uint32_t jobs, bool finds_culprits) {
  constexpr double kLongest = 1e9;
  if (!(timeout_s > 0 && timeout_s <= kLongest)) {
    throw Error(ErrorCode::kInvalidArgument,
                "timeout_s must be from 0 to 1e9, not " + std::to_string(timeout_s));
  }
  CompileOptions options;
  options.compiler.command = command;
  options.compiler.timeout = Nanoseconds(static_cast<std::int64_t>(timeout_s * 1e9));
  options.compiler.attempts = attempts;
  options.jobs = jobs;
  options.finds_culprits = finds_culprits;
  return options;
}

void bind_compilation(nb::module_& module) {
  nb::class_<FolderCompilation>(module, "CompileReport",
                                "Result of compile; true if all files "
                                "were compiled.")
      .def("__bool__", &FolderCompilation::succeeded)
      .def_prop_ro(
          "files",
          [](const FolderCompilation& self) {
            std::vector<std::string> names;
            for (const FileCompilation& file : self.files) names.push_back(file.compiled_file);
            return names;
          },
          "Names of the compiled files, in the order of the pipeline.")
      .def(
          "to_json", [](const FolderCompilation& self) { return compile_json(self); },
          "The text that `segue compile --json` prints.")
      .def("__str__", [](const FolderCompilation& self) { return compile_text(self); });
  module.def(
      "compile_folder",
      [](const fs::path& folder, const std::optional<std::string>& device,
         const std::vector<std::string>& command, double timeout_s, std::uint32_t attempts,
         std::uint32_t jobs, bool finds_culprits) {
        const nb::gil_scoped_release released;
        CompileOptions options =
            compile_options(command, timeout_s, attempts, jobs, finds_culprits);
        if (device) {
          const auto plan = find_plan(folder);
          options.pools = open_devices(*device, plan ? plan->device_count() : 0);
        }
        return compile_folder(folder, options);
      },
      "folder"_a, "device"_a.none(), "command"_a, "timeout_s"_a, "attempts"_a, "jobs"_a,
      "finds_culprits"_a);
  module.def(
      "compile_model",
      [](const SharedModel& model, const fs::path& folder, const std::vector<std::string>& command,
         double timeout_s, std::uint32_t attempts, bool finds_culprits) {
        const nb::gil_scoped_release released;
        FolderCompilation result;
        result.files.push_back(
            compile_model(model->model, folder,
                          compile_options(command, timeout_s, attempts, 1, finds_culprits)));
        return result;
      },
      "model"_a, "folder"_a, "command"_a, "timeout_s"_a, "attempts"_a, "finds_culprits"_a);
}

std::string_view to_string(Finding::Kind kind) {
  if (kind == Finding::Kind::kGood) return "good";
  return kind == Finding::Kind::kNote ? "note" : "problem";
}

void bind_diagnosis(nb::module_& module) {
  nb::class_<Finding>(module, "Finding", "One result of doctor.")
      .def_prop_ro(
          "kind", [](const Finding& self) { return to_string(self.kind); },
          "\"good\", \"note\" (works, but slowly, hot or unused) or \"problem\".")
      .def_ro("key", &Finding::key, "The checked item, as listed in docs/runtime.md.")
      .def_ro("what", &Finding::what)
      .def_ro("next_step", &Finding::next_step, "The remedy; empty if there is nothing to do.")
      .def("__str__",
           [](const Finding& self) {
             return doctor_text({&self, 1});
           })
      .def("__repr__", [](const Finding& self) {
        return "<segue.Finding " + self.key + ": " + std::string(to_string(self.kind)) + ">";
      });
  module.def(
      "doctor",
      [](const std::optional<fs::path>& runtime, const std::optional<fs::path>& edgetpu_library,
         const std::vector<fs::path>& programs) {
        const EdgeTpuLibraries libraries = edgetpu_libraries(runtime, edgetpu_library);
        const nb::gil_scoped_release released;
        return diagnose(libraries, {.programs = programs});
      },
      "runtime"_a.none(), "edgetpu_library"_a.none(), "programs"_a);
}

void bind_proofs(nb::module_& module) {
  nb::class_<CertificateVerdict>(module, "Certificate",
                                 "Result of check_certificate; true if the proof holds.")
      .def("__bool__", [](const CertificateVerdict& self) { return self.is_accepted; })
      .def_ro("accepted", &CertificateVerdict::is_accepted)
      .def_ro("reason", &CertificateVerdict::reason, "What was checked, or what is wrong.")
      .def_ro("ideals", &CertificateVerdict::ideals, "Of the graph; 0 if they were not needed.")
      .def_ro("segments", &CertificateVerdict::segments, "Whose times were computed.")
      .def("__str__", [](const CertificateVerdict& self) { return certificate_text(self); });
  module.def(
      "check_certificate",
      [](const SharedModel& model, const Shared& plan) {
        return run_interruptibly([&] {
          check_plan_matches(plan->plan, model->model);
          return check_certificate(plan->plan, model->graph, plan->pools);
        });
      },
      "model"_a, "plan"_a);
}

void bind_sweeps(nb::module_& module) {
  module.def(
      "sweep_lines",
      [](std::vector<std::string> models, std::vector<std::uint32_t> tpus,
         std::vector<std::string> devices, std::vector<std::string> strategies,
         std::uint32_t max_replicas, const std::string& shard, std::uint32_t threads) {
        const SweepSpec spec{std::move(models), std::move(devices), std::move(tpus),
                             std::move(strategies), max_replicas};
        const SweepModels open{[](const std::string& name) { return open_model(name); },
                               check_model_name};
        return run_interruptibly([&] {
          std::vector<std::string> lines;
          run_sweep(
              spec, open, parse_shard(shard), {},
              [&](const SweepRow& row, bool) { lines.push_back(to_json(row)); }, threads);
          return lines;
        });
      },
      "models"_a, "tpus"_a, "devices"_a, "strategies"_a, "max_replicas"_a, "shard"_a, "threads"_a);
  module.def(
      "merge_lines",
      [](const std::vector<fs::path>& files, bool partial) {
        const nb::gil_scoped_release released;
        std::vector<SweepRow> rows;
        for (const fs::path& file : files)
          std::ranges::move(read_sweep(file).rows, std::back_inserter(rows));
        std::vector<std::string> lines;
        const auto completeness = partial ? Completeness::kAny : Completeness::kRequired;
        for (const SweepRow& row : merge_sweep(std::move(rows), completeness))
          lines.push_back(to_json(row));
        return lines;
      },
      "files"_a, "partial"_a);
}

void bind_calibration(nb::module_& module) {
  module.def(
      "write_probes",
      [](const fs::path& folder) {
        const nb::gil_scoped_release released;
        return write_probes(make_probes(), folder);
      },
      "folder"_a);
  module.def(
      "calibrate",
      [](const fs::path& output, const std::string& base, const std::string& use,
         const std::optional<fs::path>& probes, const std::vector<std::string>& command,
         const std::optional<fs::path>& runtime, const std::optional<fs::path>& edgetpu_library) {
        CalibrationRequest request{.name = output.stem().string(), .base = base, .use = use};
        request.compiled_probes = probes.value_or(fs::path());
        request.compiler.command = command;
        request.libraries = edgetpu_libraries(runtime, edgetpu_library);
        return run_interruptibly([&] {
          const CalibrationResult result = calibrate(make_probes(), request);
          write_file(output, calibrated_device_json(result, request.name));
          return calibration_json(result);
        });
      },
      "output"_a, "base"_a, "use"_a, "probes"_a.none(), "command"_a, "runtime"_a.none(),
      "edgetpu_library"_a.none());
}

void bind_pages(nb::module_& module) {
  module.def(
      "report_page",
      [](const SharedModel& model, const std::vector<Shared>& plans, std::size_t chosen,
         std::uint64_t inputs) {
        const nb::gil_scoped_release released;
        if (chosen >= plans.size()) {
          throw Error(ErrorCode::kInvalidArgument,
                      "chosen is " + std::to_string(chosen) + ", but there are " +
                          std::to_string(plans.size()) + " plans, which count from 0");
        }
        std::vector<ComparedPlan> rows;
        for (const Shared& plan : plans) {
          check_plan_matches(plan->plan, model->model);
          rows.push_back({device_count(plan->pools), plan->plan});
        }
        return plans_page({model->graph, rows, chosen, plans[chosen]->pools, std::nullopt, inputs});
      },
      "model"_a, "plans"_a, "chosen"_a, "inputs"_a);
}

}  // namespace

void bind_tools(nb::module_& module) {
  bind_compilation(module);
  bind_diagnosis(module);
  bind_proofs(module);
  bind_sweeps(module);
  bind_calibration(module);
  bind_pages(module);
}

}  // namespace segue::python
