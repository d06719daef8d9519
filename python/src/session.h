// Backends as Python objects share them.
#pragma once

#include <nanobind/stl/pair.h>

#include "module.h"
#include "segue/edgetpu.h"

namespace segue::python {

// As Python lists them.
[[nodiscard]] std::vector<Port> ports_of(std::span<const Port> ports);

// Throws Error(kUnsupported) where no tensor has elements of this type.
[[nodiscard]] ElementType type_of(const InputArray& array);
[[nodiscard]] std::vector<std::int32_t> shape_of(const InputArray& array);

// The libraries given, or those of SEGUE_TFLITE_LIB and SEGUE_EDGETPU_LIB, or the defaults.
[[nodiscard]] EdgeTpuLibraries edgetpu_libraries(
    const std::optional<std::filesystem::path>& runtime,
    const std::optional<std::filesystem::path>& edgetpu_library);

}  // namespace segue::python
