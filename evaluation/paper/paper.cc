#include "evaluation/paper/paper.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "evaluation/paper/experiments.h"
#include "segue/error.h"

namespace segue {
namespace {

struct Entry {
  std::string_view name;
  Experiment (*evaluate)(paper::Evaluation&);
  bool plans_networks;  // needs the plans of all CNNs, for which the first of these waits
};

constexpr std::array<Entry, 14> kEntries{{
    {"figure1", paper::array_experiment, false},
    {"figure2", paper::model_size_experiment, false},
    {"figure4", paper::synthetic_experiment, false},
    {"figure5", paper::host_layers_experiment, false},
    {"figure6", paper::vendor_speedup_experiment, false},
    {"real_models", paper::real_models_experiment, false},
    {"memory", paper::memory_experiment, true},
    {"profile", paper::profile_experiment, false},
    {"comparison", paper::comparison_experiment, true},
    {"beyond", paper::beyond_experiment, true},
    {"detectors", paper::detectors_experiment, false},
    {"sets", paper::sets_experiment, false},
    {"topologies", paper::topologies_experiment, false},
    {"accuracy", paper::accuracy_experiment, false},
}};

const Entry& entry_of(std::string_view name) {
  const auto* const found = std::ranges::find(kEntries, name, &Entry::name);
  if (found != kEntries.end()) return *found;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("unknown experiment '{}' (expected one of {})", name,
                          fmt::join(experiment_names(), ", ")));
}

}  // namespace

std::vector<PaperFile> Experiment::files() const {
  std::vector<PaperFile> files{{"README.md", readme}};
  for (const PaperTable& table : tables)
    files.push_back({table.name + ".csv", table.table.to_csv()});
  for (const PaperChart& chart : charts) files.push_back({chart.name + ".svg", chart.file});
  return files;
}

std::vector<std::string_view> experiment_names() {
  std::vector<std::string_view> names;
  names.reserve(kEntries.size());
  for (const Entry& entry : kEntries) names.push_back(entry.name);
  return names;
}

std::vector<Experiment> reproduce_paper(std::span<const std::string_view> names,
                                        const PaperProgress& progress) {
  std::vector<const Entry*> entries;
  for (const std::string_view name : names) entries.push_back(&entry_of(name));
  const bool plans_networks = std::ranges::any_of(entries, &Entry::plans_networks);
  paper::Evaluation evaluation(
      progress, entries.size() + (plans_networks ? paper::kNetworks.size() : std::size_t{0}));
  std::vector<Experiment> experiments;
  experiments.reserve(entries.size());
  for (const Entry* entry : entries) {
    experiments.push_back(entry->evaluate(evaluation));
    evaluation.step_done();
  }
  return experiments;
}

}  // namespace segue
