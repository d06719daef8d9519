// `segue run --plan set.json`.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/run_source.h"

namespace segue::cli {

// Runs the models of options.set at the rates of the plan and prints the result.
void run_set(const CLI::App& command, const RunOptions& options);

}  // namespace segue::cli
