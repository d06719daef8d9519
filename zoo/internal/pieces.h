// Parts of the networks that are used to measure times.
#pragma once

#include <cstdint>

#include "segue/model.h"
#include "zoo/network.h"

namespace segue::zoo {

// A chain of convolutions, each with a ReLU, with names as in Keras.
[[nodiscard]] ValueId conv_chain(Network& net, ValueId x, std::int32_t layers, const Window& window,
                                 std::int32_t filters);

// A 1x1 convolution that reads one pixel out of every `stride` x `stride`.
[[nodiscard]] ValueId sample(Network& net, ValueId x, std::int32_t stride, std::int32_t filters);

// Returns the network with this output, in the same form as a model read from a file.
[[nodiscard]] Model model_of(Network& net, ValueId output);

}  // namespace segue::zoo
