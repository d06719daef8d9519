/// Reproduces the evaluation of "Balanced segmentation of CNNs for multi-TPU inference" (J.
/// Supercomputing 81, 2025) on the simulator, next to measured and published numbers.
///
/// Each experiment is a folder: README.md (what it shows, the command, the result, the error, what
/// is missing), its tables as CSV and its charts as SVG. `paper_page` puts all of them on one HTML
/// page. Times are simulated unless they are called "measured" or "published". The measured ones
/// are part of the program (evaluation/accuracy/accuracy.h).
///
/// The output has the same bytes with any number of threads. All experiments take under a minute on
/// two cores. Most of this time is for the plans of 21 CNNs on 1 to 8 TPUs, which the threads
/// share.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/report.h"

namespace segue {

struct PaperFile {
  std::string name;  // "README.md", "rows.csv", "speed_up.svg"
  std::string content;
};

struct PaperTable {
  std::string name;  // of its file, without .csv
  std::string caption;
  Table table;
};

struct PaperChart {
  std::string name;  // of its file, without .svg
  std::string caption;
  std::uint32_t tpus = 0;  // if several charts differ in the number of TPUs
  std::string file;        // an SVG file, light and dark
  std::string wide;        // elements for screens, for a page that contains the style
  std::string narrow;      // elements for telephones
};

struct Experiment {
  std::string name;     // of its folder: "figure4"
  std::string title;    // "Figure 4: …"
  std::string finding;  // the result, in one or two sentences
  std::string readme;   // Markdown
  std::vector<PaperTable> tables;
  std::vector<PaperChart> charts;
  std::string drawing = {};  // made of characters, if there is no chart

  [[nodiscard]] std::vector<PaperFile> files() const;
};

/// Names of the experiments, in the order of the paper: "figure1", "figure2", "figure4", "figure5",
/// "figure6", "real_models", "memory", "profile", "comparison", "beyond", "detectors", "sets",
/// "topologies", "accuracy".
[[nodiscard]] std::vector<std::string_view> experiment_names();

/// Gets the number of finished steps. It is called from several threads, but by one at a time.
using PaperProgress = std::function<void(std::size_t done, std::size_t total)>;

/// Throws Error(kInvalidArgument) for a name that is not in experiment_names().
[[nodiscard]] std::vector<Experiment> reproduce_paper(std::span<const std::string_view> names,
                                                      const PaperProgress& progress = {});

/// Returns one HTML file that needs no network, with a control for the number of TPUs and one that
/// highlights a strategy.
[[nodiscard]] std::string paper_page(std::span<const Experiment> experiments);

}  // namespace segue
