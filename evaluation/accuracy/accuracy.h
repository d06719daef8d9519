/// Compares the simulator with measurements that others made on real Edge TPUs.
///
/// The measured figures are part of the program (evaluation/accuracy/measured.cc, each with its
/// source). Constants of the device catalogue were fitted on every second row of the series marked
/// `fitted`, counted from the first. Errors are reported on the other rows, then on all rows. Rows
/// of other series were not used to fit constants. docs/accuracy.md contains these tables.
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
  bool is_held_out = false;  // not used for fitting
  bool is_small = false;     // evaluated by the absolute difference, not by the share
  double low_ms = 0;         // the simulated range (segue/cost.h)
  double high_ms = 0;
  HostKnowledge host{};               // what is known of the measurement's host
  std::optional<SegmentKind> kind{};  // of all segments; none if they differ, or for streams
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

/// How the rows of a series were used for the law.
enum class AccuracyRole {
  kFitted,       // every second row, from the first, was used to fit a constant
  kLookedAt,     // used to choose a form of the law, or a constant by eye
  kSeen,         // no choice was based on them, but their error was known
  kPredicted,    // added after the law was final, and nothing was changed afterwards
  kAlternative,  // another evaluation of an earlier series' rows; not in the plot
};
[[nodiscard]] std::string_view to_string(AccuracyRole role);

struct AccuracySeries {
  std::string key;     // "conv_sweep"
  std::string title;   // what was measured
  std::string source;  // who measured it, and where it is published
  std::string device;  // the simulated device
  AccuracyRole role{};
  std::vector<AccuracyRow> rows;

  [[nodiscard]] AccuracySummary all() const;
  [[nodiscard]] AccuracySummary held_out() const;
};

/// Simulates every measured row. The result is deterministic and takes a few seconds.
[[nodiscard]] std::vector<AccuracySeries> evaluate_accuracy();

/// Off-chip bytes of a group of segments: reports of Google's compiler compared with simulated
/// ones.
struct MemoryAccuracy {
  std::string title;
  std::size_t rows = 0;
  std::size_t rows_off_chip = 0;  // rows with reported off-chip bytes
  std::size_t rows_near = 0;      // within 0.05 MiB or 5 %
  double mean_mib = 0;            // mean of |simulated - reported|
  double worst_mib = 0;
};
[[nodiscard]] std::vector<MemoryAccuracy> evaluate_memory();
[[nodiscard]] std::string memory_markdown(std::span<const MemoryAccuracy> groups);

/// Bytes of parameters and of instructions in compiled files, compared with those of the law: means
/// of |simulated / in the file - 1|.
struct ProgramAccuracy {
  std::string title;
  std::size_t files = 0;
  double parameter_share = 0;
  double instruction_share = 0;
};
[[nodiscard]] std::vector<ProgramAccuracy> evaluate_programs();
[[nodiscard]] std::string programs_markdown(std::span<const ProgramAccuracy> families);

/// Returns a Markdown table of the paper's figure 6: measured and simulated speed-up of 2 and 4
/// TPUs over one by Google's rule, batch 100.
[[nodiscard]] std::string speedup_markdown(std::span<const AccuracySeries> series);

/// Derives the factors of ranges again from rows that were not used for fitting (docs/accuracy.md,
/// "How sure" has the procedure). The library uses error_factors.
[[nodiscard]] ErrorFactors derived_factors(std::span<const AccuracySeries> series, SegmentKind kind,
                                           HostKnowledge host);

/// Returns a Markdown table of the factors per kind of segment and host, their rows, the share of
/// rows inside, and the share inside the range of the other series alone; also for streams on
/// several TPUs.
[[nodiscard]] std::string ranges_markdown(std::span<const AccuracySeries> series);

/// Returns a Markdown table with a row per series: rows, mean and worst error on held-out rows and
/// on all rows.
[[nodiscard]] std::string accuracy_markdown(std::span<const AccuracySeries> series);

/// Returns every measured row with its prediction, and the same as a picture (SVG) with logarithmic
/// axes.
[[nodiscard]] Table accuracy_table(std::span<const AccuracySeries> series);
[[nodiscard]] std::string accuracy_json(std::span<const AccuracySeries> series);
[[nodiscard]] std::string accuracy_plot(std::span<const AccuracySeries> series);

}  // namespace segue
