#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/units.h"
#include "segue/verify.h"

namespace segue::cli {
namespace {

struct SplitArguments {
  std::string model;
  std::string signature;
  CutOptions cut;
  std::string at;
  std::string plan;
  std::string output;
  FormatOptions format;
};

// Splits a list at commas. In names, `\,` stands for a comma and `\\` for a backslash.
std::vector<std::string> tensor_names(const std::string& list) {
  std::vector<std::string> names(1);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool is_escape =
        list[i] == '\\' && i + 1 < list.size() && (list[i + 1] == ',' || list[i + 1] == '\\');
    if (list[i] == ',') {
      names.emplace_back();
    } else {
      names.back() += list[is_escape ? ++i : i];
    }
  }
  if (std::ranges::find(names, "") == names.end()) return names;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--at '{}': a tensor name is empty; separate names by single commas", list));
}

CutResult cut_by_hand(const Graph& graph, const SplitArguments& options) {
  check_not_compiled(graph.model());
  check_static_shapes(graph.model());
  const Segmentation segmentation = segment_at(graph, tensor_names(options.at));
  const auto count = static_cast<std::uint32_t>(segmentation.segments.size());
  const auto pools = open_devices(options.cut.device_or_default(), count);
  const std::vector<PoolCounts> devices(count, PoolCounts{1});
  return {make_plan(graph, segmentation, pools, Strategy::kManual, devices), pools, ""};
}

// Takes only the operators of each stage from the plan, and computes all numbers again.
CutResult cut_by_plan(const Graph& graph, const SplitArguments& options) {
  check_not_compiled(graph.model());
  check_static_shapes(graph.model());
  const Plan plan = read_plan(options.plan);
  const auto pools = devices_of_plan(plan, options.cut.device);
  return {evaluate_plan(plan, graph, pools), pools, ""};
}

CutResult cut(const CLI::App& command, const Graph& graph, const SplitArguments& options) {
  if (!options.at.empty()) {
    refuse_cut_options(command, "cannot be combined with --at, which fixes the cuts");
    return cut_by_hand(graph, options);
  }
  if (!options.plan.empty()) {
    refuse_cut_options(command, "cannot be combined with --plan, which fixes the cuts");
    return cut_by_plan(graph, options);
  }
  if (!options.cut.names_tpus())
    throw Error(ErrorCode::kInvalidArgument, "no cuts given; pass one of --tpus, --at and --plan");
  return make_cut(graph, options.cut);
}

// Says to which segments the files attached to the model (labels, descriptions) are attached.
std::string attachments_note(const Model& model, const Plan& plan) {
  const auto files = attached_files(model);
  if (files.empty() || plan.stages.size() == 1) return "";
  std::vector<std::size_t> holders;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const auto& given = plan.stages[i].outputs;
    const bool gives_output = std::ranges::any_of(model.outputs(), [&](TensorId id) {
      return std::ranges::find(given, model.unique_name(id)) != given.end();
    });
    if (gives_output) holders.push_back(i);
  }
  return fmt::format("the files attached to the model ({}) are attached to segment {}",
                     printable(fmt::format("{}", fmt::join(files, ", "))),
                     fmt::join(holders, ", "));
}

void print_notes(const Model& model, const Plan& plan, const std::string& folder,
                 std::size_t other_files) {
  if (const std::string note = attachments_note(model, plan); !note.empty()) print_note(note);
  if (has_interface_metadata(model) && plan.stages.size() > 1)
    print_note(
        "the description of the model's inputs and outputs (TFLITE_METADATA) applies to the whole "
        "model and is not copied to segments");
  if (other_files > 0) {
    print_note(fmt::format(
        "{} still holds {} of other splits; plan.json tells which ones belong to this split",
        folder, format_count(other_files, "segment file")));
  }
}

std::vector<std::filesystem::path> written_files(const std::filesystem::path& folder,
                                                 const std::string& stem, std::size_t count) {
  std::vector<std::filesystem::path> files{folder / kPlanFile};
  for (std::size_t i = 0; i < count; ++i)
    files.push_back(folder / segment_file_name(stem, i, count));
  return files;
}

void run(const CLI::App& command, const SplitArguments& options) {
  const Model model = open_noted(options.model, options.signature);
  const Graph graph(model);
  CutResult result = cut(command, graph, options);
  if (options.output.empty())
    throw Error(ErrorCode::kInvalidArgument, "the output folder is empty; name one with -o");
  const std::size_t count = result.plan.stages.size();
  for (const auto& file : written_files(options.output, model.name(), count))
    require_other_file(options.model, file);
  const BeforeWriting before(written_files(options.output, model.name(), count));
  const std::size_t others = count_other_segments(options.output, model.name(), count);
  const std::uint64_t bytes = write_segments(model, result.plan, options.output);
  print_notes(model, result.plan, options.output, others);
  if (options.format.json) return print(split_json(result.plan, options.output, bytes));
  if (options.format.csv) return print(split_table(result.plan).to_csv());
  std::string text;
  for (std::size_t i = 0; i < result.plan.stages.size(); ++i) {
    const Stage& stage = result.plan.stages[i];
    text += fmt::format("{}: {}, {} on chip, {} streamed from the host (simulated){}\n",
                        printable(segment_file_name(model.name(), i, result.plan.stages.size())),
                        format_count(stage.operators.size(), "operator"),
                        format_bytes(stage.on_chip_bytes), format_bytes(stage.host_bytes),
                        placement_text(result.plan, stage));
  }
  print_text(text + fmt::format("{} in {} and plan.json written to {} ({})\n", format_bytes(bytes),
                                format_count(result.plan.stages.size(), "file"),
                                printable(options.output), before.change()));
}

}  // namespace

void add_split(CLI::App& app) {
  CLI::App* command = app.add_subcommand("split", "Write the segments of a model as .tflite files");
  auto options = std::make_shared<SplitArguments>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]")->required();
  add_signature(*command, options->signature);
  add_cut(*command, options->cut);
  auto* at = command->add_option(
      "--at", options->at,
      "Cut after these tensors (comma-separated; write \\, for a comma in a name)");
  command->add_option("--plan", options->plan, "Use the cuts of this plan.json")->excludes(at);
  add_format(*command, options->format);
  add_output(
      *command, options->output,
      "Folder for the segments and plan.json; overwrites files of the same names, and creates "
      "missing folders")
      ->required();
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace segue::cli
