// The passes of the TensorFlow converter that concern a whole network: the order of operators,
// equal operators and activation functions. What it does within one layer (batch normalization,
// paddings) the builder of networks does.
#pragma once

#include "zoo/network.h"

namespace segue::zoo {

// `network` as TensorFlow 2.19 converts it. Keras' own order decides nothing: an operator is
// written once all its inputs are, the readers of one value in alphabetical order of their layers'
// names, each followed at once by its own readers. Equal operators on equal inputs are then
// computed once, where the first of them stands, and a ReLU that alone reads a sum or a convolution
// is fused into it. Networks that keep their order are returned as they are.
[[nodiscard]] Network as_converted(Network network);

}  // namespace segue::zoo
