// Small models that test how a runtime computes an operator.
#pragma once

#include <cstddef>
#include <vector>

namespace segue {

// Returns a model with one int8 FULLY_CONNECTED from [1, 2] to [1, 2]. Its weights are (1, 1) with
// scale 1 and (2, 4) with scale 0.5. The input and the output have scale 1 and zero point 0.
[[nodiscard]] std::vector<std::byte> dense_with_scale_per_output();

// Returns a model of `count` int8 ADD operators in sequence. Each adds a tensor [1, 8] to itself.
[[nodiscard]] std::vector<std::byte> int8_additions(std::size_t count);

}  // namespace segue
