// Writes texts, charts and tables of an experiment.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "evaluation/figure/figure.h"
#include "evaluation/paper/paper.h"
#include "segue/cost.h"

namespace segue::paper {

// Makes the README from evaluation/paper/texts/NAME.md, in which each {{KEY}} is replaced by its
// value. {{finding}} is the experiment's, {{table NAME}} one of its tables, and {{chart NAME}} a
// picture of one of its charts. Throws Error(kInternal) for a key without a value.
void write_readme(Experiment& experiment, const std::map<std::string, std::string>& values = {});

template <typename Figure>
[[nodiscard]] PaperChart chart_of(std::string name, std::string caption, const Figure& figure,
                                  std::uint32_t tpus = 0) {
  constexpr double kWide = 760;
  constexpr double kNarrow = 340;
  const figure::Drawing wide = draw(figure, kWide);
  return {std::move(name),       std::move(caption),     tpus,
          figure::file_of(wide), figure::embedded(wide), figure::embedded(draw(figure, kNarrow))};
}

// Returns tera_operations_per_s for a time, which may be measured.
[[nodiscard]] inline double tops(std::uint64_t macs, double ms) {
  return tera_operations_per_s(macs, Nanoseconds(std::llround(1e6 * ms)));
}

// Returns how a strategy looks in every chart.
[[nodiscard]] figure::Look look_of(std::string_view strategy);

}  // namespace segue::paper
