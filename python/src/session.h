// Backends as Python objects share them.
#pragma once

#include <nanobind/stl/pair.h>

#include "module.h"

namespace segue::python {

using SharedBackend = std::shared_ptr<const Backend>;

// As Python lists them.
[[nodiscard]] std::vector<Port> ports_of(std::span<const Port> ports);

// Throws Error(kUnsupported) where no tensor has elements of this type.
[[nodiscard]] ElementType type_of(const InputArray& array);
[[nodiscard]] std::vector<std::int32_t> shape_of(const InputArray& array);

}  // namespace segue::python
