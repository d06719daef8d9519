// Sets of models on the TPUs of one computer.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/commands.h"

namespace segue::cli {

struct SetOptions {
  std::string models;  // MODEL[:DEMAND...], separated by commas
  double headroom_percent = 10;
};

// --models and --headroom.
void add_set(CLI::App& command, SetOptions& options);

// Plans --models and prints the result.
void plan_models(const SetOptions& options, const CutOptions& cut, const FormatOptions& format,
                 const std::string& output);

}  // namespace segue::cli
