// When maps do not fit the tiles.
#pragma once

#include <cstdint>

#include "segue/device.h"
#include "segue/model.h"

namespace segue {

// How often streamed weights of an operator cross the link per inference: once while the fullest
// tile holds its part of input (with the kernel's border) and output; else the map is computed in
// strips of as many output rows as fit. 3 while a strip has half the rows, and 2 more for each
// sixteenth of the rows that is missing to half: the steps of the measured sweep at 642 and 722
// filters. 1 for operators without height and width.
[[nodiscard]] std::uint32_t crossings(const Model& model, OperatorId id,
                                      const ActivationMemory& memory);

// Whether the whole input of a convolution, with the kernel's border, leaves a tile no room to
// work. A segment that receives such an input from the host streams its last layer at least
// `kCrowdedCrossings` times, as measured in pipelines from 592 filters on.
[[nodiscard]] bool input_crowds_tile(const Model& model, OperatorId id,
                                     const ActivationMemory& memory);
inline constexpr std::uint32_t kCrowdedCrossings = 6;

// Words of its input that the fullest tile of a convolution fetches from its neighbours.
[[nodiscard]] std::uint64_t border_words(const Model& model, OperatorId id,
                                         const DeviceSpec& device);

}  // namespace segue
