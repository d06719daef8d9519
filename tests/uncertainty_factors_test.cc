// Derives the factors of ranges again from the rows of docs/accuracy.md.
#include <gtest/gtest.h>

#include <cmath>

#include "device/internal/factors.h"
#include "evaluation/accuracy/accuracy.h"
#include "segue/cost.h"

namespace segue {
namespace {

// A failure prints the factors that src/device/internal/factors.h should contain.
TEST(Uncertainty, FactorsMatchMeasuredRows) {
  const auto series = evaluate_accuracy();
  for (const KindFactors& of_kind : kKindFactors) {
    for (const auto host :
         {HostKnowledge::kMeasured, HostKnowledge::kTypical, HostKnowledge::kUnknown}) {
      const ErrorFactors used = error_factors(of_kind.kind, host);
      const ErrorFactors derived = derived_factors(series, of_kind.kind, host);
      EXPECT_TRUE(std::abs(used.low - derived.low) < 1e-9 &&
                  std::abs(used.high - derived.high) < 1e-9)
          << to_string(of_kind.kind) << ", host " << to_string(host) << ": {" << derived.low << ", "
          << derived.high << "}";
    }
  }
}

}  // namespace
}  // namespace segue
