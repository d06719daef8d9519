#include "cli/set.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <memory>
#include <vector>

#include "cli/tpus.h"
#include "cli/written.h"
#include "segue/error.h"
#include "segue/plan_set.h"
#include "segue/report.h"
#include "segue/zoo.h"

namespace segue::cli {
namespace {

// The words between separators; empty words are kept.
std::vector<std::string> words_of(const std::string& text, char separator) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == separator) {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

double number_of(const std::string& text, const std::string& what) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value > 0) return value;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--models: {} '{}': expected a number above 0", what, text));
}

// Sets one part of a demand. Returns false for a word that is none.
bool take_demand(const std::string& word, ModelDemand& demand, bool& has_weight) {
  constexpr std::string_view kLatency = "latency=";
  constexpr std::string_view kWeight = "weight=";
  const auto once = [&](bool is_given, const char* what) {
    if (is_given)
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("--models: a model has two {}; remove '{}' or the other", what, word));
  };
  if (word.ends_with("/s")) {
    once(demand.rate_per_s.has_value(), "rates");
    demand.rate_per_s = number_of(word.substr(0, word.size() - 2), "rate");
  } else if (word.starts_with(kLatency)) {
    once(demand.max_latency.has_value(), "latencies");
    demand.max_latency = parse_latency(word.substr(kLatency.size()), "--models: latency");
  } else if (word.starts_with(kWeight)) {
    once(has_weight, "weights");
    has_weight = true;
    demand.weight = number_of(word.substr(kWeight.size()), "weight");
  } else {
    return false;
  }
  return true;
}

// Names a word behind the model that is none of a demand.
void check_is_model(const std::vector<std::string>& words, const std::string& source) {
  std::error_code absent;
  const std::size_t of_model = words[0] == "zoo" ? 2 : 1;
  if (words.size() <= of_model || std::filesystem::exists(source, absent)) return;
  if (of_model == 1 && !std::filesystem::exists(words[0], absent)) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("--models: '{}' is not a rate, latency or weight; write for example 30/s, "
                  "latency=50ms or weight=2",
                  words.back()));
}

// "zoo:yolov5s@320:30/s:latency=50ms": demands stand behind the model.
ModelDemand parse_demand(const std::string& text) {
  std::vector<std::string> words = words_of(text, ':');
  ModelDemand demand;
  bool has_weight = false;
  while (words.size() > 1 && take_demand(words.back(), demand, has_weight)) words.pop_back();
  if (has_weight && demand.rate_per_s)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--models '{}': a weight is for models without a rate; remove one of "
                            "them",
                            text));
  for (const std::string& word : words) demand.source += (demand.source.empty() ? "" : ":") + word;
  check_is_model(words, demand.source);
  if (demand.source.empty())
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("--models '{}': expected MODEL[:RATE/s][:latency=TIME][:weight=NUMBER], "
                    "separated by commas",
                    text));
  return demand;
}

struct OpenSet {
  std::vector<std::unique_ptr<const Model>> models;
  std::vector<std::unique_ptr<const Graph>> graphs;
  std::vector<const Graph*> pointers;
};

OpenSet open_models(SetRequest& request) {
  OpenSet result;
  for (ModelDemand& demand : request.demands) {
    result.models.push_back(std::make_unique<const Model>(open_noted(demand.source, "")));
    demand.name = result.models.back()->name();
    result.graphs.push_back(std::make_unique<const Graph>(*result.models.back()));
    result.pointers.push_back(result.graphs.back().get());
  }
  return result;
}

DevicePool pool_of(const CutOptions& cut) {
  if (!cut.names_tpus())
    throw Error(ErrorCode::kInvalidArgument,
                "the number of TPUs is missing; pass --tpus N, or count the devices, for example "
                "--device 4xedgetpu-pcie");
  if (cut.tpus == "auto")
    throw Error(ErrorCode::kInvalidArgument,
                "--tpus auto cannot be combined with --models; give a number");
  const auto pools =
      open_devices(cut.device_or_default(), cut.tpus.empty() ? 0 : parse_tpus(cut.tpus));
  check_counts_once(pools, cut);
  if (pools.size() != 1)
    throw Error(ErrorCode::kInvalidArgument,
                "--models: sets are planned for equal devices; name one kind");
  return pools[0];
}

}  // namespace

void add_set(CLI::App& command, SetOptions& options) {
  command.add_option(
      "--models", options.models,
      "Instead of MODEL: up to four models that share the TPUs, separated by commas, each "
      "MODEL[:RATE/s][:latency=TIME][:weight=NUMBER], for example "
      "det.tflite:30/s:latency=80ms,cls.tflite; a model without a rate gets what the others leave, "
      "in proportion to its weight (default 1)");
  command
      .add_option("--headroom", options.headroom_percent,
                  "With --models: share of each TPU that stays free, in percent (default 10)")
      ->check(CLI::Range(1.0, 99.0));
}

void plan_models(const SetOptions& options, const CutOptions& cut, const FormatOptions& format,
                 const std::string& output) {
  SetRequest request{.pool = pool_of(cut), .headroom = options.headroom_percent / 100};
  for (const std::string& text : words_of(options.models, ','))
    request.demands.push_back(parse_demand(text));
  const OpenSet set = open_models(request);
  SetPlan plan = plan_set(set.pointers, request);
  if (format.json || !output.empty()) {
    for (std::size_t m = 0; m < plan.models.size(); ++m)
      identify_model(plan.models[m].plan, *set.models[m]);
  }
  if (!output.empty()) write_noted(output, to_json(plan));
  if (format.json) return print(to_json(plan));
  if (format.csv) return print(set_table(plan).to_csv());
  print_text(set_text(plan, text_width()));
}

}  // namespace segue::cli
