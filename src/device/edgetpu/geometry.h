// Maps that do not fit in the tiles.
#pragma once

#include <cstdint>

#include "segue/device.h"
#include "segue/model.h"

namespace segue {

// Returns how often the streamed weights of an operator cross the link per inference. Once if the
// fullest tile holds its part of the input (with the kernel's border) and output. Otherwise the map
// is computed in strips of as many output rows as fit: 3 times if a strip has at least half of the
// rows, and 2 more for each sixteenth of the rows that it has less than half. These are the steps
// of the measured sweep at 642 and 722 filters. 1 for operators without height and width.
[[nodiscard]] std::uint32_t crossings(const Model& model, OperatorId id,
                                      const ActivationMemory& memory);

// Returns whether the complete input of a convolution, with the kernel's border, leaves less than 6
// KiB of a tile free. A segment that receives such an input from the host streams its last layer at
// least `kCrowdedCrossings` times, as measured in pipelines from 592 filters on.
[[nodiscard]] bool input_crowds_tile(const Model& model, OperatorId id,
                                     const ActivationMemory& memory);
inline constexpr std::uint32_t kCrowdedCrossings = 6;

// Returns the input words that the fullest tile of a convolution reads from its neighbours.
[[nodiscard]] std::uint64_t border_words(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

}  // namespace segue
