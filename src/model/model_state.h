// The data of a Model. Only the reader and the writers of this layer use it.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/internal/archive.h"
#include "model/internal/file_bytes.h"
#include "model/internal/schema.h"
#include "segue/model.h"

namespace segue {

struct Model::State {
  State(std::string model_name, std::unique_ptr<FileBytes> bytes)
      : name(std::move(model_name)), file(std::move(bytes)) {}

  std::string name;
  std::unique_ptr<FileBytes> file;
  const tflite::Model* root = nullptr;         // into file
  const tflite::SubGraph* subgraph = nullptr;  // into file; the chosen one
  std::size_t subgraph_position = 0;           // in the file
  bool is_flatbuffer_alone = true;             // no offset leads behind it
  std::optional<Archive> archive;              // views into file
  std::vector<Tensor> tensors;
  std::vector<Operator> operators;
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<std::vector<std::int32_t>> batch_1_shapes;   // that differ from the file's
  std::vector<std::int32_t> producers;                     // operator position per tensor; -1: none
  std::vector<std::string> unique_names;                   // per tensor
  std::unordered_map<std::string_view, TensorId> by_name;  // views into unique_names
  // The result of Model::runnable_bytes, if it differs from the file.
  std::once_flag runnable_is_made;
  std::vector<std::byte> runnable;
};

// Gives the writers of this layer access to the verified flatbuffer of a model.
class ModelReader {
 public:
  static const Model::State& state(const Model& model) { return *model.state_; }
  static Model make(std::unique_ptr<Model::State> state) { return Model(std::move(state)); }
};

}  // namespace segue
