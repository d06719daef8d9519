// Recognises files that are not .tflite models by their first bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace segue {

// Returns what the file is and what to do, for example "a Git LFS pointer ...; fetch it with `git
// lfs pull`". Empty if the kind of file is unknown.
[[nodiscard]] std::string describe_foreign_file(std::span<const std::byte> bytes);

}  // namespace segue
