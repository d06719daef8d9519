#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/compile_set.h"
#include "cli/compiler_options.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/toolchain.h"
#include "segue/units.h"
#include "segue/verify.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

namespace fs = std::filesystem;

struct CompileArguments {
  std::string source;  // folder of segments, or a model
  std::string output;  // of a model
  std::string device;
  std::string signature;
  CompilerOptions compiler;
  std::uint32_t jobs = 0;
  bool no_bisect = false;
  FormatOptions format;
};

bool is_set(const CompileArguments& options) { return options.source.ends_with(".json"); }

CompileOptions compile_options(const CompileArguments& options) {
  CompileOptions result;
  result.compiler = edgetpu_compiler_options(options.compiler);
  result.jobs = options.jobs;
  result.finds_culprits = !options.no_bisect && !is_set(options);
  result.on_compiled = [how = result](const std::string& file, const Compilation& compilation) {
    if (compilation.succeeded()) return;
    print_note(fmt::format(
        "{}: {}{}", printable(file), printable(compilation.failure->message),
        how.looks_for_culprit(compilation) ? "; searching for the operator that causes it" : ""));
  };
  return result;
}

FolderCompilation compile(const CompileArguments& options) {
  CompileOptions how = compile_options(options);
  std::error_code absent;
  if (fs::is_directory(options.source, absent)) {
    if (!options.output.empty()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "-o requires a model; compiled segments are written next to the segments of the folder");
    }
    if (!options.device.empty()) {
      const auto plan = find_plan(options.source);
      how.pools = open_devices(options.device, plan ? plan->device_count() : 0);
    }
    if (!options.signature.empty())
      throw Error(ErrorCode::kInvalidArgument, "--signature requires a model");
    return compile_folder(options.source, how);
  }
  if (!options.device.empty())
    throw Error(ErrorCode::kInvalidArgument, "--device requires a folder with a plan.json");
  const Model model = open_noted(options.source, options.signature);
  const fs::path beside = fs::path(options.source).parent_path();
  fs::path folder = options.output;
  if (folder.empty()) {
    folder = options.source.starts_with("zoo:") || beside.empty() ? "." : beside;
    // The folder of the model may already hold a compiled file that took hours, or that belongs to
    // somebody else.
    const fs::path compiled = folder / compiled_file_name(model.name() + ".tflite");
    if (fs::exists(compiled, absent)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: already exists; name another folder with -o, or remove the file",
                              compiled.string()));
    }
  }
  if (fs::create_directories(folder, absent))
    print_note(fmt::format("{}: new folder", printable(folder.string())));
  FolderCompilation result;
  result.files.push_back(compile_model(model, folder, how));
  return result;
}

FolderCompilation compile_any(const CompileArguments& options) {
  if (!is_set(options)) return compile(options);
  if (!options.signature.empty())
    throw Error(ErrorCode::kInvalidArgument, "--signature requires a model");
  return compile_set_file(options.source, options.output, options.device, compile_options(options));
}

void run(const CompileArguments& options) {
  const FolderCompilation result = compile_any(options);
  if (options.format.json) {
    print(compile_json(result));
  } else if (options.format.csv) {
    print(compile_table(result).to_csv());
  } else {
    print_text(compile_text(result));
  }
  constexpr int kCompilerFailed = 5;
  if (!result.succeeded()) throw ExitStatus{kCompilerFailed};
}

}  // namespace

void add_compile(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "compile", "Compile segments for the Edge TPU with Google's edgetpu_compiler");
  auto options = std::make_shared<CompileArguments>();
  command
      ->add_option(
          "DIR", options->source,
          "Folder written by `segue split`, a model (a .tflite file, or zoo:NAME[@SIZE]), or the "
          "set.json of `segue plan --models`")
      ->required();
  add_output(
      *command, options->output,
      "Folder for the compiled files of a model (default: the model's folder) or of a set, with "
      "its "
      "set.json (default: compiled); overwrites files of the same names, and creates missing "
      "folders");
  command->add_option(
      "--device", options->device,
      "Device file of the Edge TPU that plan.json was made for, if it is not in the catalogue");
  add_signature(*command, options->signature);
  add_compiler_options(*command, options->compiler);
  command
      ->add_option("--jobs", options->jobs,
                   "Number of compilers that run in parallel (default: one per core)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--no-bisect", options->no_bisect,
                    "If a segment fails, do not search for the operator that causes it");
  add_format(*command, options->format);
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
