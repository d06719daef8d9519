// Classifiers without their ends, which detectors read at several depths.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "zoo/network.h"

namespace segue::zoo {

// Called with what a block computed, before the next one is added.
using OnBlock = std::function<void(int number, ValueId output)>;

// Blocks 1 .. 13, a depthwise and a pointwise convolution each.
ValueId mobilenet_features(Network& net, ValueId x, double width, const OnBlock& on_block = {});

// Blocks 0 .. 16, of which `on_expansion` gets the expanded input.
ValueId mobilenet_v2_features(Network& net, ValueId x, const OnBlock& on_expansion = {});

// What EfficientNet-Lite computes at strides 8, 16 and 32, before its last convolution.
std::array<ValueId, 3> efficientnet_lite_features(Network& net, ValueId x, int variant);

}  // namespace segue::zoo
