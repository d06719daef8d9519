// Where the program looks for libraries that it loads at run time.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace segue::cli {

// Adds --runtime and --edgetpu-library.
void add_libraries(CLI::App& command, std::string& runtime, std::string& edgetpu_library);

// Returns the path from the option or from SEGUE_TFLITE_LIB. If neither is set, returns the folder
// of the program, the lib folder next to it (where an installation puts the library), and the
// search path of the system's loader.
[[nodiscard]] std::vector<std::filesystem::path> runtime_candidates(const std::string& option);

// Returns the path from the option or from SEGUE_EDGETPU_LIB, or else the search path of the
// system's loader.
[[nodiscard]] std::vector<std::filesystem::path> edgetpu_candidates(const std::string& option);

}  // namespace segue::cli
