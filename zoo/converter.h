// The passes of the TensorFlow converter over a whole network: the order of operators, merging of
// equal operators, and fusion of activation functions. The builder of networks does the converter's
// work within one layer (batch normalization, paddings).
#pragma once

#include "zoo/network.h"

namespace segue::zoo {

// Returns `network` as TensorFlow 2.19 converts it. The order does not depend on Keras. An operator
// is written as soon as all its inputs are. The readers of one value follow in alphabetical order
// of their layers' names, each followed at once by its own readers. Then, equal operators on equal
// inputs are computed once, at the position of the first. A ReLU that is the only reader of a sum
// or a convolution is fused into it. Networks that keep their order are returned unchanged.
[[nodiscard]] Network as_converted(Network network);

}  // namespace segue::zoo
