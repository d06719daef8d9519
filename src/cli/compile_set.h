// `segue compile set.json`.
#pragma once

#include <string>

#include "segue/toolchain.h"

namespace segue::cli {

// Compiles a set into a folder; empty: "compiled". `device`: empty, or the file of its device.
[[nodiscard]] FolderCompilation compile_set_file(const std::string& file, const std::string& folder,
                                                 const std::string& device, CompileOptions options);

}  // namespace segue::cli
