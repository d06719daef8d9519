// Computes how wide ranges must be for rows that were not used for fitting, and how many rows are
// in them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "device/internal/factors.h"
#include "evaluation/accuracy/accuracy.h"

namespace segue {
namespace {

constexpr std::array kHosts{HostKnowledge::kMeasured, HostKnowledge::kTypical,
                            HostKnowledge::kUnknown};

// Returns whether a row counts for the range of its kind of segment: it was not used for fitting,
// and all its segments are of that kind. Predicted rows test the ranges, so they are not used to
// make them.
bool counts(const AccuracySeries& series, const AccuracyRow& row) {
  return series.role != AccuracyRole::kAlternative && series.role != AccuracyRole::kPredicted &&
         row.is_held_out && row.kind.has_value();
}

double ratio_of(const AccuracyRow& row) { return row.measured_ms / row.predicted_ms; }

// A typical host uses the rows of all hosts, because there are too few of typical hosts.
bool belongs_to(const AccuracyRow& row, HostKnowledge host) {
  return host == HostKnowledge::kTypical || row.host == host;
}

struct Ratios {
  std::vector<double> sorted;  // measured / simulated
  std::size_t series = 0;      // number of series with such rows
};

// Returns the ratios of the rows of a kind, except those of the series `left_out`.
Ratios ratios(std::span<const AccuracySeries> series, SegmentKind kind, HostKnowledge host,
              const AccuracySeries* left_out) {
  Ratios result;
  for (const AccuracySeries& one : series) {
    if (&one == left_out) continue;
    const std::size_t before = result.sorted.size();
    for (const AccuracyRow& row : one.rows) {
      if (counts(one, row) && *row.kind == kind && belongs_to(row, host))
        result.sorted.push_back(ratio_of(row));
    }
    if (result.sorted.size() > before) ++result.series;
  }
  std::ranges::sort(result.sorted);
  return result;
}

double nearest_rank(const std::vector<double>& sorted, double share) {
  const double rank = share * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::llround(rank))];
}

// Returns the factors rounded outward to two decimals, without the rounding errors of double
// arithmetic.
ErrorFactors widened(const std::vector<double>& sorted) {
  constexpr double kSteps = 100;
  constexpr double kLost = 1e-9;
  const double low = nearest_rank(sorted, kFactorQuantile) - kFactorMargin;
  const double high = nearest_rank(sorted, 1 - kFactorQuantile) + kFactorMargin;
  return {std::min(1.0, std::floor(low * kSteps + kLost) / kSteps),
          std::max(1.0, std::ceil(high * kSteps - kLost) / kSteps)};
}

ErrorFactors factors_of(std::span<const AccuracySeries> series, SegmentKind kind,
                        HostKnowledge host, const AccuracySeries* left_out) {
  const Ratios all = ratios(series, kind, HostKnowledge::kTypical, left_out);
  const Ratios own = ratios(series, kind, host, left_out);
  const ErrorFactors typical = all.sorted.empty() ? ErrorFactors{} : widened(all.sorted);
  const bool is_enough =
      own.sorted.size() >= kFewestFactorRows && own.series >= kFewestFactorSeries;
  if (host == HostKnowledge::kMeasured && is_enough) {
    const ErrorFactors narrow = widened(own.sorted);
    return {std::max(typical.low, narrow.low), std::min(typical.high, narrow.high)};
  }
  if (host == HostKnowledge::kUnknown && own.sorted.size() >= kFewestFactorRows) {
    const ErrorFactors wide = widened(own.sorted);
    return {std::min(typical.low, wide.low), std::max(typical.high, wide.high)};
  }
  return typical;
}

struct Coverage {
  std::size_t rows = 0;
  std::size_t inside = 0;
  [[nodiscard]] std::string text() const {
    return rows == 0 ? "–"
                     : fmt::format("{:.0f} %",
                                   100 * static_cast<double>(inside) / static_cast<double>(rows));
  }
};

void add(Coverage& coverage, bool is_inside) {
  ++coverage.rows;
  if (is_inside) ++coverage.inside;
}

bool is_within(double ratio, const ErrorFactors& factors) {
  return factors.low <= ratio && ratio <= factors.high;
}

// Compares each series with the range of the other series alone. A series that has all rows of its
// kind is left out.
Coverage left_out_coverage(std::span<const AccuracySeries> series, SegmentKind kind,
                           HostKnowledge host) {
  Coverage coverage;
  for (const AccuracySeries& one : series) {
    if (ratios(series, kind, HostKnowledge::kTypical, &one).sorted.empty()) continue;
    const ErrorFactors factors = factors_of(series, kind, host, &one);
    for (const AccuracyRow& row : one.rows) {
      if (counts(one, row) && *row.kind == kind && belongs_to(row, host))
        add(coverage, is_within(ratio_of(row), factors));
    }
  }
  return coverage;
}

std::string predicted_rows(std::span<const AccuracySeries> series) {
  Coverage coverage;
  for (const AccuracySeries& one : series) {
    if (one.role != AccuracyRole::kPredicted) continue;
    for (const AccuracyRow& row : one.rows) add(coverage, row.is_in_range());
  }
  return fmt::format("| predicted rows, of which no range was made | any | {} | | | {} | |\n",
                     coverage.rows, coverage.text());
}

// Returns the table's row for rows without a kind: streams, and pipelines of segments of several
// kinds.
std::string mixed_rows(std::span<const AccuracySeries> series) {
  Coverage coverage;
  for (const AccuracySeries& one : series) {
    if (one.role == AccuracyRole::kAlternative || one.role == AccuracyRole::kPredicted) continue;
    for (const AccuracyRow& row : one.rows) {
      if (row.is_held_out && !row.kind) add(coverage, row.is_in_range());
    }
  }
  return fmt::format(
      "| several TPUs: streams, and segments of several kinds | any | {} | | | {} | |\n",
      coverage.rows, coverage.text());
}

}  // namespace

ErrorFactors derived_factors(std::span<const AccuracySeries> series, SegmentKind kind,
                             HostKnowledge host) {
  return factors_of(series, kind, host, nullptr);
}

std::string ranges_markdown(std::span<const AccuracySeries> series) {
  std::string text =
      "| kind of segment | host | rows | low | high | inside | inside, series left out |\n"
      "|---|---|--:|--:|--:|--:|--:|\n";
  for (const KindFactors& of_kind : kKindFactors) {
    for (const HostKnowledge host : kHosts) {
      const ErrorFactors factors = error_factors(of_kind.kind, host);
      Coverage coverage;
      for (const double ratio : ratios(series, of_kind.kind, host, nullptr).sorted)
        add(coverage, is_within(ratio, factors));
      text += fmt::format("| {} | {} | {} | {:.2f} | {:.2f} | {} | {} |\n", to_string(of_kind.kind),
                          to_string(host), coverage.rows, factors.low, factors.high,
                          coverage.text(), left_out_coverage(series, of_kind.kind, host).text());
    }
  }
  return text + mixed_rows(series) + predicted_rows(series);
}

}  // namespace segue
