// Where the program looks for what it loads while it runs.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "segue/runtime.h"

namespace segue::cli {

// --runtime and --edgetpu-library.
void add_libraries(CLI::App& command, std::string& runtime, std::string& edgetpu_library);

// The option, then SEGUE_TFLITE_LIB; else beside the program, in the lib folder next to the
// program's folder, where an installation puts its own, and wherever the system's loader looks.
[[nodiscard]] std::vector<std::filesystem::path> runtime_candidates(const std::string& option);

// "xnnpack"; else the builtin ones.
[[nodiscard]] CpuKernels kernels_of(const std::string& option);

// The option, then SEGUE_EDGETPU_LIB; else wherever the system's loader looks.
[[nodiscard]] std::vector<std::filesystem::path> edgetpu_candidates(const std::string& option);

}  // namespace segue::cli
