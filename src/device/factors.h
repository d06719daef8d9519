// The factors of segue/cost.h, as the rows of src/accuracy give them.
#pragma once

#include <array>

#include "segue/cost.h"

namespace segue {

// Derived, not chosen. Of all rows of a kind that took part in no fit, the 5 % and 95 % quantiles
// (nearest rank) of measured / simulated, widened by kFactorMargin and rounded outward to two
// decimals; low at most 1, high at least 1. Typical hosts: rows of all hosts. Measured hosts: rows
// of such hosts alone where there are kFewestFactorRows of them from kFewestFactorSeries series,
// else as typical, and never wider. Unknown hosts: no narrower than typical, nor than
// kFewestFactorRows or more rows of such hosts. `ctest -R Uncertainty` derives them again.
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
