// What networks that times are measured with are made of.
#pragma once

#include <cstdint>

#include "segue/model.h"
#include "zoo/network.h"

namespace segue::zoo {

// Convolutions with a ReLU each, one behind the other, named as Keras names them.
[[nodiscard]] ValueId conv_chain(Network& net, ValueId x, std::int32_t layers, const Window& window,
                                 std::int32_t filters);

// A 1x1 convolution that reads one pixel of each `stride` by `stride`.
[[nodiscard]] ValueId sample(Network& net, ValueId x, std::int32_t stride, std::int32_t filters);

// The network with this output, as a file that was read.
[[nodiscard]] Model model_of(Network& net, ValueId output);

}  // namespace segue::zoo
