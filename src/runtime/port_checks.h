// Checks whether values have the number and the sizes that a session expects.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "segue/runtime.h"

namespace segue {

// Throws Error(kInvalidArgument) that names the model and the input.
void check_inputs(const std::string& model, std::span<const Port> ports,
                  std::span<const std::span<const std::byte>> inputs);

// Describes what is wrong, for example "gave 3 bytes for 'y', 4 are expected". Empty if all outputs
// are right.
[[nodiscard]] std::string wrong_outputs(std::span<const Port> ports,
                                        std::span<const TensorBytes> outputs);

// Throws Error(kDevice) if an output does not have the expected size.
void check_output_size(const Port& port, std::uint64_t given, std::uint64_t expected);

}  // namespace segue
