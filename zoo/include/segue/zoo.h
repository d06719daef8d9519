/// The CNNs of the paper as int8 .tflite models, built here: no download, no TensorFlow.
///
/// Structure, layer names and parameter counts are those of the Keras models after TensorFlow's
/// converter: batch normalization folded where it folds, MUL and ADD where it does not, activations
/// fused. Weights are pseudo-random (the name is the seed) with per-channel scales, and scales are
/// chosen so that activations stay alive at every depth. Predictions of these models mean nothing;
/// their sizes, shapes, cuts and bit patterns do.
///
/// Deterministic: same name, same bytes, on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/calibrate.h"
#include "segue/model.h"

namespace [[gnu::visibility("default")]] segue {

struct ZooEntry {
  std::string name;                    // "resnet101", "conv5-f442"
  std::string title;                   // "ResNet101"
  std::int32_t input_size = 0;         // default height and width; 0: not an image model
  std::uint64_t keras_parameters = 0;  // as Keras counts them; 0 for families with a free width
};

/// All models, in a fixed order; the families "conv5-fN" and "dense4-nN" are listed once each.
[[nodiscard]] std::span<const ZooEntry> zoo_catalogue();

/// Builds a model: "NAME" or "NAME@SIZE" (square input of SIZE pixels). Takes up to about 0.2 s and
/// twice the model in memory. Throws Error(kInvalidArgument) for an unknown name (naming similar
/// ones) or a size the architecture cannot take.
[[nodiscard]] std::vector<std::byte> make_zoo_model(std::string_view name);

/// What Keras' count_params() gives for the same name. Throws as make_zoo_model.
[[nodiscard]] std::uint64_t zoo_keras_parameters(std::string_view name);

/// All probes of `segue calibrate`, in a fixed order, not compiled; 30 MB. Same bytes on every
/// machine.
[[nodiscard]] std::vector<Probe> make_probes();

/// Opens what commands call MODEL: a path, or "zoo:NAME[@SIZE]".
[[nodiscard]] Model open_model(const std::string& path_or_zoo_name,
                               const ReadOptions& options = {});
/// Throws as open_model for a name that it does not open; builds no network.
void check_model_name(const std::string& path_or_zoo_name);

}  // namespace segue
