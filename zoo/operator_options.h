// The option table of each operator, as TensorFlow's converter writes it.
#pragma once

#include "model/internal/schema.h"
#include "segue/model.h"
#include "zoo/network.h"

namespace segue::zoo {

struct OperatorOptions {
  tflite::BuiltinOptions type = tflite::BuiltinOptions::NONE;
  flatbuffers::Offset<void> offset;
};

[[nodiscard]] OperatorOptions operator_options(flatbuffers::FlatBufferBuilder& builder,
                                               const Network& network, const Layer& layer);

// Returns the version of an operator's definition that accepts int8 tensors.
[[nodiscard]] std::int32_t operator_version(const Layer& layer);

}  // namespace segue::zoo
