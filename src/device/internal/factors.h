// The error factors of segue/cost.h, derived from the measured rows of evaluation/accuracy.
#pragma once

#include <array>

#include "segue/cost.h"

namespace segue {

// Derivation. For each kind of segment, the factors are the 5 % and 95 % quantiles (nearest rank)
// of measured / simulated over all rows that no constant was fitted to. They are widened by
// kFactorMargin and rounded outward to two decimals; low is at most 1, and high is at least 1.
// Typical hosts use the rows of all hosts. Measured hosts use only the rows of such hosts if there
// are kFewestFactorRows of them from kFewestFactorSeries series, and otherwise the factors of
// typical hosts; their factors are never wider than those. The factors of unknown hosts are no
// narrower than those of typical hosts, and no narrower than those of at least kFewestFactorRows
// rows of unknown hosts. `ctest -R Uncertainty` derives the factors again.
inline constexpr double kFactorMargin = 0.02;
inline constexpr double kFactorQuantile = 0.05;
inline constexpr std::size_t kFewestFactorRows = 8;
inline constexpr std::size_t kFewestFactorSeries = 2;

struct KindFactors {
  SegmentKind kind{};
  ErrorFactors measured;
  ErrorFactors typical;
  ErrorFactors unknown;
};
inline constexpr std::array<KindFactors, 4> kKindFactors{{
    {SegmentKind::kStreaming, {0.94, 1.11}, {0.93, 1.12}, {0.93, 1.13}},
    {SegmentKind::kConvolutions, {0.87, 1.19}, {0.87, 1.19}, {0.87, 1.44}},
    {SegmentKind::kDense, {0.62, 1.13}, {0.62, 1.13}, {0.62, 1.13}},
    {SegmentKind::kSmall, {0.89, 1.07}, {0.89, 1.36}, {0.89, 1.42}},
}};

}  // namespace segue
