// Functions of backends that several bindings share.
#pragma once

#include <nanobind/stl/pair.h>

#include "module.h"
#include "segue/edgetpu.h"

namespace segue::python {

// Copies the ports into a vector, which Python shows as a list.
[[nodiscard]] std::vector<Port> ports_of(std::span<const Port> ports);

// Returns the element type of an array; throws Error(kUnsupported) if no tensor has such elements.
[[nodiscard]] ElementType type_of(const InputArray& array);
[[nodiscard]] std::vector<std::int32_t> shape_of(const InputArray& array);

// Returns the given libraries, or those of SEGUE_TFLITE_LIB and SEGUE_EDGETPU_LIB, or the defaults.
[[nodiscard]] EdgeTpuLibraries edgetpu_libraries(
    const std::optional<std::filesystem::path>& runtime,
    const std::optional<std::filesystem::path>& edgetpu_library);

}  // namespace segue::python
