/// The evaluation of "Balanced segmentation of CNNs for multi-TPU inference" (J. Supercomputing 81,
/// 2025), made again on the simulator, beside what others measured or published.
///
/// Each experiment is a folder: README.md (what it shows, the command, the result, the error, what
/// is missed), its tables as CSV and its charts as SVG. `paper_page` puts all of them on one HTML
/// page. Times are simulated but where "measured" or "published" is said; the measured ones are
/// part of the library (segue/accuracy.h).
///
/// Deterministic: the same bytes whatever the number of threads. Takes under a minute on two cores
/// for all, most of it for the plans of 21 CNNs on 1 to 8 TPUs, which the threads share.
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
  std::uint32_t tpus = 0;  // where it is one of several that differ in the number of TPUs
  std::string file;        // an SVG file, light and dark
  std::string wide;        // elements for a page that brings the style: for screens,
  std::string narrow;      // and for telephones
};

struct Experiment {
  std::string name;     // of its folder: "figure4"
  std::string title;    // "Figure 4: …"
  std::string finding;  // the result, in one or two sentences
  std::string readme;   // Markdown
  std::vector<PaperTable> tables;
  std::vector<PaperChart> charts;
  std::string drawing = {};  // of characters, where there is no chart

  [[nodiscard]] std::vector<PaperFile> files() const;
};

/// Names of the experiments, in the order of the paper: "figure1", "figure2", "figure4", "figure5",
/// "figure6", "real_models", "memory", "profile", "comparison", "beyond", "detectors", "accuracy".
[[nodiscard]] std::vector<std::string_view> experiment_names();

/// How many of `total` steps are done. Called from several threads, by one at a time.
using PaperProgress = std::function<void(std::size_t done, std::size_t total)>;

/// Throws Error(kInvalidArgument) for a name that is none of experiment_names().
[[nodiscard]] std::vector<Experiment> reproduce_paper(std::span<const std::string_view> names,
                                                      const PaperProgress& progress = {});

/// One HTML file that opens without a network, with a control for the number of TPUs and one that
/// brings out a strategy.
[[nodiscard]] std::string paper_page(std::span<const Experiment> experiments);

}  // namespace segue
