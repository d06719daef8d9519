// Classifiers without their last layers. Detectors read their features at several depths.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "zoo/network.h"

namespace segue::zoo {

// Called with the output of each block, before the next block is added.
using OnBlock = std::function<void(int number, ValueId output)>;

// Adds blocks 1 to 13, each with a depthwise and a pointwise convolution.
ValueId mobilenet_features(Network& net, ValueId x, double width, const OnBlock& on_block = {});

// Adds blocks 0 to 16. `on_expansion` is called with the expanded input of each block.
ValueId mobilenet_v2_features(Network& net, ValueId x, const OnBlock& on_expansion = {});

// Returns the features of EfficientNet-Lite at strides 8, 16 and 32, before its last convolution.
std::array<ValueId, 3> efficientnet_lite_features(Network& net, ValueId x, int variant);

}  // namespace segue::zoo
