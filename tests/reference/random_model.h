// Makes small random operator graphs with skips, several outputs and operators without weights.
#pragma once

#include <random>

#include "model_builder.h"

namespace segue::testing {

/// Makes a model of `operator_count` operators on [1, 4]: pairs of dense layers of random width,
/// additions of any two earlier tensors, and activations. Every tensor that no operator reads is a
/// model output. With `has_host_operators`, some activations are of a kind that the device does not
/// support.
inline Model random_model(std::mt19937& random, int operator_count,
                          bool has_host_operators = false) {
  ModelBuilder b;
  std::vector<TensorIndex> tensors{b.input("x", {1, 4})};
  std::vector<bool> is_read(1);
  const auto any = [&] {
    // Recent tensors are chosen more often, so that graphs are deep as well as wide.
    const std::size_t back = std::min<std::size_t>(random() % 4, tensors.size() - 1);
    const std::size_t i = random() % 3 == 0 ? random() % tensors.size() : tensors.size() - 1 - back;
    is_read[i] = true;
    return tensors[i];
  };
  for (int i = 0; i < operator_count; ++i) {
    const std::string name = "t" + std::to_string(i);
    switch (random() % 4) {
      case 0:
        if (has_host_operators && random() % 2 == 0) {
          const TensorIndex x = any();
          tensors.push_back(b.tensor(name, {1, 4}));
          b.op(tflite::BuiltinOperator::NEG, {x}, {tensors.back()});
        } else {
          tensors.push_back(b.relu(any(), name));
        }
        break;
      case 1: {
        const TensorIndex left = any();
        tensors.push_back(b.add(left, any(), name));
        break;
      }
      default: {
        // A pair of dense layers with a wide middle has up to 16 KB of weights.
        const auto width = static_cast<std::int32_t>(random() % 2000 + 1);
        const TensorIndex middle = b.dense(any(), name + "m", width);
        tensors.push_back(b.dense(middle, name, 4));
        break;
      }
    }
    is_read.push_back(false);
  }
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    if (!is_read[i]) b.output(tensors[i]);
  }
  return b.build("random");
}

}  // namespace segue::testing
