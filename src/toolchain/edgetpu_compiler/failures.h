// Failures that are not in what the compiler prints when it ends.
#pragma once

#include "segue/toolchain.h"

namespace segue {

// Of a file in whose log no operation is mapped to the Edge TPU.
[[nodiscard]] CompilerFailure nothing_mapped(const CompilerLog& log);

}  // namespace segue
