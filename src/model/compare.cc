#include <algorithm>

#include "model/unpacked.h"

namespace segue {
namespace {

// Packs the operator again, without the fields that only refer to other parts of its model.
flatbuffers::FlatBufferBuilder packed_options(const Model& model, OperatorId id) {
  tflite::OperatorT op = unpacked_operator(model, id);
  op.opcode_index = 0;
  op.custom_options.clear();  // compared byte by byte
  op.debug_metadata_index = -1;
  for (auto* tensors : {&op.inputs, &op.outputs, &op.intermediates}) tensors->clear();
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(tflite::CreateOperator(builder, &op));
  return builder;
}

}  // namespace

bool same_operation(const Model& a, OperatorId in_a, const Model& b, OperatorId in_b) {
  const Operator& first = a.op(in_a);
  const Operator& second = b.op(in_b);
  if (first.code != second.code || first.version != second.version || first.name != second.name)
    return false;
  if (!std::ranges::equal(first.custom_data, second.custom_data)) return false;
  const auto x = packed_options(a, in_a);
  const auto y = packed_options(b, in_b);
  return std::ranges::equal(std::span(x.GetBufferPointer(), x.GetSize()),
                            std::span(y.GetBufferPointer(), y.GetSize()));
}

}  // namespace segue
