// Operators and tensors as flatbuffers' object API holds them, to be written again. Options of
// custom operators that lie behind the flatbuffer are inside it then.
//
// A union may name a kind of table and hold none: the verifier allows it and readers take it for
// none, but the object API would follow a null pointer when it packs one. Such a union is NONE
// here.
#pragma once

#include "model/internal/schema.h"
#include "segue/model.h"

namespace segue {

[[nodiscard]] tflite::OperatorT unpacked_operator(const Model& model, OperatorId id);

[[nodiscard]] tflite::TensorT unpacked_tensor(const Model& model, TensorId id);

}  // namespace segue
