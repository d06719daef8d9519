// Failures that the output of the compiler does not show.
#pragma once

#include "segue/toolchain.h"

namespace segue {

// Returns the failure of a file whose log maps no operation to the Edge TPU.
[[nodiscard]] CompilerFailure nothing_mapped(const CompilerLog& log);

}  // namespace segue
