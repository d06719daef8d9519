// The experiments of the paper, with progress.
#pragma once

#include <string_view>
#include <vector>

#include "evaluation/paper/paper.h"

namespace segue::cli {

// The same as reproduce_paper, with progress on a terminal.
[[nodiscard]] std::vector<Experiment> reproduce(const std::vector<std::string_view>& names);

}  // namespace segue::cli
