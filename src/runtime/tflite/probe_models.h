// Small models that show what a runtime does with an operator.
#pragma once

#include <cstddef>
#include <vector>

namespace segue {

// int8 FULLY_CONNECTED, [1, 2] to [1, 2], weights (1, 1) of scale 1 and (2, 4) of scale 0.5; inputs
// and outputs have scale 1 and zero point 0.
[[nodiscard]] std::vector<std::byte> dense_with_scale_per_output();

// `count` int8 ADD of a tensor [1, 8] to itself, one after the other.
[[nodiscard]] std::vector<std::byte> int8_additions(std::size_t count);

}  // namespace segue
