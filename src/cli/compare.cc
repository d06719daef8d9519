#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "cli/commands.h"
#include "segue/error.h"
#include "segue/report.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

struct Options {
  std::string model;
  std::string tpus = "1..8";
  std::string device;
  std::uint32_t max_replicas = 0;
  FormatOptions format;
};

constexpr std::uint32_t kMostTpus = 64;

// "4" or "1..8".
std::pair<std::uint32_t, std::uint32_t> parse_counts(const std::string& text) {
  const auto number = [](std::string_view digits) -> std::uint32_t {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() ? value : 0;
  };
  const std::size_t dots = text.find("..");
  const std::uint32_t first = number(std::string_view(text).substr(0, dots));
  const std::uint32_t last =
      dots == std::string::npos ? first : number(std::string_view(text).substr(dots + 2));
  if (first == 0 || last < first || last > kMostTpus) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--tpus '{}': give a number or a range within 1..{}, as in 1..8", text,
                            kMostTpus));
  }
  return {first, last};
}

void run(const Options& options) {
  const auto [first, last] = parse_counts(options.tpus);
  const Model model = open_model(options.model);
  const Graph graph(model);
  const std::string device_name = options.device.empty() ? "edgetpu-pcie" : options.device;
  const auto pools = open_devices(device_name, first);
  if (pools.size() > 1 || has_device_count(device_name)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("--device '{}': compare counts the TPUs itself (--tpus); name one kind of "
                    "device without a count",
                    device_name));
  }
  const DeviceSpec& device = pools[0].device;
  Profile profile = Profile::simulated(graph, device);
  std::vector<ComparedPlan> plans;
  for (std::uint32_t tpus = first; tpus <= last; ++tpus) {
    for (const char* strategy : {"compiler", "balanced", "profile", "optimal"}) {
      CutOptions cut;
      cut.strategy = strategy;
      cut.device = options.device;
      if (cut.strategy == "optimal") cut.max_replicas = options.max_replicas;
      try {
        plans.push_back({tpus, make_cut_for(graph, cut, tpus, &profile).plan});
      } catch (const Error& error) {
        // A model with fewer cuts than TPUs has no such plan; the others go on.
        if (error.code() != ErrorCode::kInfeasible) throw;
      }
    }
  }
  if (options.format.json) return print(compare_json(model.name(), plans));
  if (options.format.csv) return print(compare_table(plans).to_csv());
  print(compare_text(model.name(), plans));
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("compare", "All strategies on several numbers of TPUs in one table");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "A .tflite file, or zoo:NAME[@SIZE]")->required();
  command->add_option("--tpus", options->tpus, "A number or a range of TPUs (default 1..8)");
  command->add_option("--device", options->device,
                      "Edge TPU to plan for: a name, or a device file (default edgetpu-pcie)");
  command
      ->add_option("--max-replicas", options->max_replicas,
                   "Most TPUs on one stage for optimal (default: no limit; 1: a pure pipeline)")
      ->check(CLI::Range(1, 1024));
  add_format(*command, options->format);
  command->callback([options] { run(*options); });
}

}  // namespace segue::cli
