/// How far the simulator is from measurements that others made on real Edge TPUs.
///
/// The measured figures are part of the library (evaluation/accuracy/measured.cc, each with its
/// source). Protocol: constants of the device catalogue were fitted on every second row of the
/// series marked `fitted`, counted from the first; errors are reported on the other rows, then on
/// all. No row of a series that is not marked chose a constant. docs/accuracy.md is made from this.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "segue/cost.h"
#include "segue/report.h"

namespace segue {

struct AccuracyRow {
  std::string label;         // "F=442"
  double measured_ms = 0;    // by others, on hardware
  double predicted_ms = 0;   // simulated
  bool is_held_out = false;  // took no part in the fit
  bool is_small = false;     // judged by the absolute difference, not by the share
  double low_ms = 0;         // the range that is simulated (segue/cost.h)
  double high_ms = 0;
  HostKnowledge host{};               // of the measurement
  std::optional<SegmentKind> kind{};  // of all segments; none where they differ, or results stream
  [[nodiscard]] double share() const { return predicted_ms / measured_ms - 1; }
  [[nodiscard]] double difference_ms() const { return predicted_ms - measured_ms; }
  [[nodiscard]] bool is_in_range() const { return low_ms <= measured_ms && measured_ms <= high_ms; }
};

struct AccuracySummary {
  std::size_t rows = 0;
  double mean_share = 0;           // mean of |predicted / measured - 1|, rows that are not small
  double worst_share = 0;          // largest of these
  double worst_difference_ms = 0;  // largest |predicted - measured| of the small rows
};

/// What the rows of a series did to the law.
enum class AccuracyRole {
  kFitted,       // every second row, from the first, took part in a fit
  kLookedAt,     // they chose a form of the law or a constant, by eye
  kSeen,         // they chose nothing, but their error was in view while others did
  kPredicted,    // added after the law was final; nothing was changed when their error was known
  kAlternative,  // another reading of rows that a series before it has; not in the plot
};
[[nodiscard]] std::string_view to_string(AccuracyRole role);

struct AccuracySeries {
  std::string key;     // "conv_sweep"
  std::string title;   // what was measured
  std::string source;  // whose measurement, where
  std::string device;  // what it was simulated on
  AccuracyRole role{};
  std::vector<AccuracyRow> rows;

  [[nodiscard]] AccuracySummary all() const;
  [[nodiscard]] AccuracySummary held_out() const;
};

/// Simulates every measured row. Deterministic; takes a few seconds.
[[nodiscard]] std::vector<AccuracySeries> evaluate_accuracy();

/// Off-chip bytes that Google's compiler reported of a group of segments, beside the simulated
/// ones.
struct MemoryAccuracy {
  std::string title;
  std::size_t rows = 0;
  std::size_t rows_off_chip = 0;  // of these, reported above zero
  std::size_t rows_near = 0;      // within 0.05 MiB or 5 %
  double mean_mib = 0;            // of |simulated - reported|
  double worst_mib = 0;
};
[[nodiscard]] std::vector<MemoryAccuracy> evaluate_memory();
[[nodiscard]] std::string memory_markdown(std::span<const MemoryAccuracy> groups);

/// Bytes of parameters and of instructions in compiled files, beside those of the law: means of
/// |simulated / in the file - 1|.
struct ProgramAccuracy {
  std::string title;
  std::size_t files = 0;
  double parameter_share = 0;
  double instruction_share = 0;
};
[[nodiscard]] std::vector<ProgramAccuracy> evaluate_programs();
[[nodiscard]] std::string programs_markdown(std::span<const ProgramAccuracy> families);

/// Speed-up of 2 and 4 TPUs over one by Google's rule, batch 100, measured and simulated: the
/// paper's figure 6. Markdown.
[[nodiscard]] std::string speedup_markdown(std::span<const AccuracySeries> series);

/// The factors of ranges, derived again from the rows that took part in no fit (the procedure:
/// docs/accuracy.md, "How sure"); what the library uses is error_factors.
[[nodiscard]] ErrorFactors derived_factors(std::span<const AccuracySeries> series, SegmentKind kind,
                                           HostKnowledge host);

/// Factors per kind of segment and host, the rows behind each and the share of them inside; of rows
/// in the range that the other series alone give; and of streams of several TPUs. Markdown.
[[nodiscard]] std::string ranges_markdown(std::span<const AccuracySeries> series);

/// One row per series: rows, mean and worst error on held-out rows and on all. Markdown.
[[nodiscard]] std::string accuracy_markdown(std::span<const AccuracySeries> series);

/// Every measured row beside its prediction; and as a picture (SVG), both axes logarithmic.
[[nodiscard]] Table accuracy_table(std::span<const AccuracySeries> series);
[[nodiscard]] std::string accuracy_json(std::span<const AccuracySeries> series);
[[nodiscard]] std::string accuracy_plot(std::span<const AccuracySeries> series);

}  // namespace segue
