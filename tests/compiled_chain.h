// Files like those of the Edge TPU compiler, but without a program, and pipelines of them on the
// stand-in, which adds 1 to every byte.
#pragma once

#include <string>
#include <vector>

#include "model_builder.h"
#include "segue/pipeline.h"

namespace segue::testing {

inline std::vector<std::byte> compiled(const std::string& input, const std::string& output,
                                       std::int32_t bytes = 8) {
  ModelBuilder b;
  const TensorIndex x = b.input(input, {1, bytes});
  const TensorIndex y = b.tensor(output, {1, bytes});
  b.op(tflite::BuiltinOperator::CUSTOM, {x}, {y});
  b.raw().operator_codes[0]->custom_code = "edgetpu-custom-op";
  b.output(y);
  return b.bytes();
}

// Makes one file per stage.
inline std::vector<std::vector<std::byte>> compiled_chain(std::size_t stages,
                                                          std::int32_t bytes = 8) {
  std::vector<std::vector<std::byte>> files;
  for (std::size_t i = 0; i < stages; ++i)
    files.push_back(compiled("t" + std::to_string(i), "t" + std::to_string(i + 1), bytes));
  return files;
}

inline PipelineLayout chain(const std::vector<std::vector<std::byte>>& files,
                            std::vector<std::uint32_t> replicas) {
  PipelineLayout layout;
  for (std::size_t i = 0; i < files.size(); ++i)
    layout.segments.push_back({"segment " + std::to_string(i), files[i], nullptr, replicas[i]});
  return layout;
}

inline TensorBytes bytes_with(int value, std::size_t count = 8) {
  return TensorBytes(count, static_cast<std::byte>(value));
}

}  // namespace segue::testing
