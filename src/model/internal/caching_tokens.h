// Caching tokens of compiled files: programs with the same token share the memory of a device.
#pragma once

#include <cstdint>
#include <set>

#include "segue/model.h"

namespace segue {

// Returns the tokens of all programs, without 0; empty for models that are not compiled. Throws as
// compiled_executables.
[[nodiscard]] std::set<std::uint64_t> caching_tokens(const Model& model);

}  // namespace segue
