// Operators and tensors in the form of flatbuffers' object API, from which they can be written
// again. Options of custom operators that are stored after the flatbuffer are included.
//
// A union may name a kind of table without containing one. The verifier and readers accept this,
// but the object API would dereference a null pointer when it packs the union. Here, such a union
// is NONE.
#pragma once

#include "model/internal/schema.h"
#include "segue/model.h"

namespace segue {

[[nodiscard]] tflite::OperatorT unpacked_operator(const Model& model, OperatorId id);

[[nodiscard]] tflite::TensorT unpacked_tensor(const Model& model, TensorId id);

}  // namespace segue
