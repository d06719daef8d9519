// Backends as Python objects share them.
#pragma once

#include <nanobind/stl/pair.h>

#include "module.h"

namespace segue::python {

using SharedBackend = std::shared_ptr<const Backend>;

// Throws Error(kUnsupported) where no tensor has elements of this type.
[[nodiscard]] ElementType type_of(const InputArray& array);

}  // namespace segue::python
