/// A zoo of CNNs as int8 .tflite models, built in memory without a download or TensorFlow.
///
/// Structure, layer names and parameter counts are those of the Keras models after TensorFlow's
/// converter: activations are fused, and batch normalization is folded where the converter can fold
/// it and otherwise becomes MUL and ADD. Detectors are built as their exporters write them, with
/// heads and post-processing: YOLOv5 and YOLOv8 (Ultralytics), SSD (TensorFlow Object Detection
/// API), EfficientDet-Lite (TensorFlow Lite Model Maker). Weights are pseudo-random, with the name
/// as seed and scales per channel. Scales are chosen so that activations do not become constant at
/// any depth. Predictions of these models have no meaning; their sizes, shapes, cuts and bit
/// patterns do.
///
/// Example:
///
///     const segue::Model model = segue::open_model("zoo:mobilenetv2@96");
///     std::printf("%zu operators\n", model.operators().size());
///     for (const segue::ZooEntry& entry : segue::zoo_catalogue())
///       std::printf("%-20s %d pixels\n", entry.name.c_str(), entry.input_size);
///
/// Deterministic: equal names give equal bytes on every machine. Thread-safety: all functions are
/// pure and may be called from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segue/calibrate.h"
#include "segue/model.h"

namespace [[gnu::visibility("default")]] segue {

// --- Models

/// A model of the zoo.
struct ZooEntry {
  std::string name;             // "resnet101", "conv5-f442"
  std::string title;            // "ResNet101"
  std::int32_t input_size = 0;  // default height and width in pixels; 0: no image input
  // As Keras counts them, or as PyTorch does for YOLO: without statistics of batch normalization.
  // 0 for families of any width.
  std::uint64_t keras_parameters = 0;
};

/// Returns all models in a fixed order. The families "conv5-fN" and "dense4-nN" have one entry
/// each.
[[nodiscard]] std::span<const ZooEntry> zoo_catalogue();

/// Builds the file of a model: "NAME" or "NAME@SIZE" (input of SIZE x SIZE pixels), or
/// "NAME@HEIGHTxWIDTH" for YOLO. Takes up to about 0.3 s and twice the model's size in memory.
/// Throws Error(kInvalidArgument) for an unknown name (with similar names) or a size that the
/// architecture does not support.
[[nodiscard]] std::vector<std::byte> make_zoo_model(std::string_view name);

/// Returns the number of parameters that Keras' count_params(), or PyTorch for YOLO, reports for
/// this model. Throws as make_zoo_model.
[[nodiscard]] std::uint64_t zoo_keras_parameters(std::string_view name);

/// Returns the probes of `segue calibrate` (calibrate.h) in a fixed order. They are not compiled,
/// and have 30 MB together.
[[nodiscard]] std::vector<Probe> make_probes();

// --- Names of models in commands

/// Opens the MODEL argument of commands: a path, or "zoo:NAME[@SIZE]". Throws as read_model and
/// make_zoo_model.
[[nodiscard]] Model open_model(const std::string& path_or_zoo_name,
                               const ReadOptions& options = {});
/// Throws as open_model for a name that it cannot open, without building a model.
void check_model_name(const std::string& path_or_zoo_name);

}  // namespace segue
