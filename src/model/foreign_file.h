// What a file is that is not a .tflite model, as far as its first bytes tell.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace segue {

// "a Git LFS pointer ...; fetch it with `git lfs pull`": what it is and what to do. Empty where the
// kind is not known.
[[nodiscard]] std::string describe_foreign_file(std::span<const std::byte> bytes);

}  // namespace segue
