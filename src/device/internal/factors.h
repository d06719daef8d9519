// The error factors of segue/cost.h, derived from the measured rows of evaluation/accuracy.
#pragma once

#include <array>

#include "segue/cost.h"

namespace segue {

// Derivation. For each kind of segment, all rows that took part in no fit: the 5 % and 95 %
// quantiles (nearest rank) of measured / simulated, widened by kFactorMargin and rounded outward to
// two decimals; low is at most 1, high at least 1. Typical hosts: rows of all hosts. Measured
// hosts: rows of such hosts alone if there are kFewestFactorRows of them from kFewestFactorSeries
// series, otherwise as typical; never wider. Unknown hosts: no narrower than typical, nor than
// kFewestFactorRows or more rows of such hosts. `ctest -R Uncertainty` derives the factors again.
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
    {SegmentKind::kStreaming, {0.94, 1.11}, {0.93, 1.13}, {0.93, 1.13}},
    {SegmentKind::kConvolutions, {0.87, 1.19}, {0.87, 1.19}, {0.87, 1.44}},
    {SegmentKind::kDense, {0.62, 1.13}, {0.62, 1.13}, {0.62, 1.13}},
    {SegmentKind::kSmall, {0.89, 1.07}, {0.89, 1.36}, {0.89, 1.40}},
}};

}  // namespace segue
