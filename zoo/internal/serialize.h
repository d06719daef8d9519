// Writes a network with seeded weights as a .tflite file.
#pragma once

#include <cstddef>
#include <vector>

#include "zoo/network.h"

namespace segue::zoo {

// Equal networks give equal bytes on every machine.
[[nodiscard]] std::vector<std::byte> serialize(const Network& network);

}  // namespace segue::zoo
