#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "model/border.h"
#include "model/internal/flatbuffer.h"
#include "model/model_state.h"
#include "model/stored_bytes.h"
#include "model/unpacked.h"
#include "segue/error.h"

namespace segue {
namespace {

namespace fb = flatbuffers;

constexpr std::size_t kBlobAlignment = 16;  // force_align of Buffer.data in the format
constexpr std::string_view kInterfaceMetadata = "TFLITE_METADATA";
constexpr std::string_view kLocationMetadata = "buffer_location";  // weights after the flatbuffer
constexpr std::array<std::byte, kBlobAlignment> kPadding{};

[[noreturn]] void refuse_without_outputs(const Model& model,
                                         std::span<const OperatorId> operators) {
  const std::string others =
      operators.size() > 1 ? fmt::format(" and {} more", operators.size() - 1) : "";
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format(
          "{}: a segment with only {}{} has no outputs: no other operator and no model output "
          "reads its results; use fewer segments, or remove unused operators from the model",
          model.name(), model.describe(operators.front()), others));
}

}  // namespace

// Builds the structure with the object API, table by table, without copying weights. The offsets in
// Buffer.data are patched afterwards: they then point behind the structure, where the weights are
// appended as views into the source file.
class ImageWriter {
 public:
  ImageWriter(const Model& model, std::vector<bool> inside, SegmentBorder border)
      : model_(model),
        state_(ModelReader::state(model)),
        inside_(std::move(inside)),
        border_(std::move(border)) {}

  ModelImage write() {
    number_tensors();
    const auto operators = write_operators();
    const auto tensors = write_tensors();
    const auto subgraph = write_subgraph(tensors, operators);
    const auto signatures = write_signatures();
    const auto metadata = write_metadata();
    const auto unnamed_metadata = write_unnamed_metadata();
    const auto buffers = write_buffers();
    const auto codes = write_operator_codes();
    const auto description = state_.root->description() == nullptr
                                 ? 0
                                 : builder_.CreateString(state_.root->description());
    const auto subgraphs = builder_.CreateVector(std::vector{subgraph});
    tflite::ModelBuilder root(builder_);
    root.add_version(state_.root->version());
    root.add_operator_codes(codes);
    root.add_subgraphs(subgraphs);
    root.add_description(description);
    root.add_buffers(buffers);
    root.add_metadata_buffer(unnamed_metadata);
    root.add_metadata(metadata);
    root.add_signature_defs(signatures);
    tflite::FinishModelBuffer(builder_, root.Finish());
    return assemble();
  }

 private:
  using OperatorOffsets = std::vector<fb::Offset<tflite::Operator>>;
  using TensorOffsets = std::vector<fb::Offset<tflite::Tensor>>;

  // Keeps the tensors that the operators use and those of the border, in file order.
  void number_tensors() {
    std::vector<bool> used(model_.tensors().size());
    const auto use = [&](const auto& tensors) {
      for (const std::int32_t tensor : tensors) {
        if (tensor >= 0) used[static_cast<std::size_t>(tensor)] = true;
      }
    };
    for (std::size_t i = 0; i < inside_.size(); ++i) {
      if (!inside_[i]) continue;
      use(model_.operators()[i].inputs);
      use(model_.operators()[i].outputs);
      use(model_.operators()[i].intermediates);
    }
    for (const auto* border : {&border_.inputs, &border_.outputs}) {
      for (const TensorId id : *border) used[index(id)] = true;
    }
    new_tensor_.assign(used.size(), -1);
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) continue;
      new_tensor_[i] = static_cast<std::int32_t>(kept_tensors_.size());
      kept_tensors_.push_back(tensor_id(i));
    }
  }

  void renumber(std::vector<std::int32_t>& tensors) const {
    for (std::int32_t& tensor : tensors) {
      if (tensor >= 0) tensor = new_tensor_[static_cast<std::size_t>(tensor)];
    }
  }

  std::uint32_t new_code(std::uint32_t old_code) {
    const auto [entry, is_new] =
        code_numbers_.emplace(old_code, static_cast<std::uint32_t>(kept_codes_.size()));
    if (is_new) kept_codes_.push_back(old_code);
    return entry->second;
  }

  // Buffer 0 stays empty, as readers of the format expect. Buffers that share their bytes become
  // one buffer.
  std::uint32_t new_buffer(std::uint32_t old_buffer) {
    if (old_buffer == 0) return 0;
    const auto bytes = buffer_bytes(*state_.root->buffers()->Get(old_buffer), state_.file->view());
    if (bytes.empty()) return 0;
    const auto [entry, is_new] =
        buffer_numbers_.emplace(std::pair(bytes.data(), bytes.size()),
                                static_cast<std::uint32_t>(kept_buffers_.size() + 1));
    if (is_new) kept_buffers_.push_back(bytes);
    return entry->second;
  }

  OperatorOffsets write_operators() {
    OperatorOffsets result;
    for (std::size_t i = 0; i < inside_.size(); ++i) {
      if (!inside_[i]) continue;
      tflite::OperatorT op = unpacked_operator(model_, operator_id(i));
      op.opcode_index = new_code(op.opcode_index);
      renumber(op.inputs);
      renumber(op.outputs);
      renumber(op.intermediates);
      op.debug_metadata_index = -1;  // refers to metadata of the whole model
      result.push_back(tflite::CreateOperator(builder_, &op));
    }
    return result;
  }

  TensorOffsets write_tensors() {
    TensorOffsets result;
    for (const TensorId id : kept_tensors_) {
      tflite::TensorT tensor = unpacked_tensor(model_, id);
      tensor.buffer = new_buffer(tensor.buffer);
      tensor.name = model_.unique_name(id);
      if (const Tensor& view = model_.tensor(id); view.is_shape_known) {
        tensor.shape.assign(view.shape.begin(), view.shape.end());
        tensor.shape_signature.clear();
      }
      result.push_back(tflite::CreateTensor(builder_, &tensor));
    }
    return result;
  }

  [[nodiscard]] std::vector<std::int32_t> new_positions(std::span<const TensorId> tensors) const {
    std::vector<std::int32_t> result;
    for (const TensorId id : tensors) result.push_back(new_tensor_[index(id)]);
    return result;
  }

  fb::Offset<tflite::SubGraph> write_subgraph(const TensorOffsets& tensors,
                                              const OperatorOffsets& operators) {
    const auto tensor_vector = builder_.CreateVector(tensors);
    const auto inputs = builder_.CreateVector(new_positions(border_.inputs));
    const auto outputs = builder_.CreateVector(new_positions(border_.outputs));
    const auto operator_vector = builder_.CreateVector(operators);
    const auto* old_name = state_.subgraph->name();
    const auto name = old_name == nullptr ? 0 : builder_.CreateString(old_name);
    return tflite::CreateSubGraph(builder_, tensor_vector, inputs, outputs, operator_vector, name);
  }

  using TensorMaps = std::vector<std::unique_ptr<tflite::TensorMapT>>;

  // Returns the signature's name of each border tensor, or the tensor's name if the signature does
  // not contain it.
  [[nodiscard]] TensorMaps signature_maps(const TensorMaps& old_maps,
                                          std::span<const TensorId> border) const {
    std::map<TensorId, std::string> old_names;
    for (const auto& map : old_maps) old_names.emplace(tensor_id(map->tensor_index), map->name);
    TensorMaps result;
    for (const TensorId id : border) {
      auto map = std::make_unique<tflite::TensorMapT>();
      const auto old = old_names.find(id);
      map->name = old == old_names.end() ? model_.unique_name(id) : old->second;
      map->tensor_index = static_cast<std::uint32_t>(new_tensor_[index(id)]);
      result.push_back(std::move(map));
    }
    return result;
  }

  fb::Offset<fb::Vector<fb::Offset<tflite::SignatureDef>>> write_signatures() {
    if (state_.root->signature_defs() == nullptr) return 0;
    std::vector<fb::Offset<tflite::SignatureDef>> result;
    for (const tflite::SignatureDef* source : *state_.root->signature_defs()) {
      if (source->subgraph_index() != state_.subgraph_position) continue;
      tflite::SignatureDefT signature;
      source->UnPackTo(&signature);
      signature.subgraph_index = 0;
      signature.inputs = signature_maps(signature.inputs, border_.inputs);
      signature.outputs = signature_maps(signature.outputs, border_.outputs);
      result.push_back(tflite::CreateSignatureDef(builder_, &signature));
    }
    return builder_.CreateVector(result);
  }

  fb::Offset<fb::Vector<fb::Offset<tflite::Metadata>>> write_metadata() {
    if (state_.root->metadata() == nullptr) return 0;
    const bool same_interface = state_.root->subgraphs()->size() == 1 &&
                                std::ranges::equal(border_.inputs, model_.inputs()) &&
                                std::ranges::equal(border_.outputs, model_.outputs());
    std::vector<fb::Offset<tflite::Metadata>> result;
    for (const tflite::Metadata* source : *state_.root->metadata()) {
      const std::string_view name = source->name() == nullptr ? "" : source->name()->string_view();
      if (name == kLocationMetadata || (name == kInterfaceMetadata && !same_interface)) continue;
      const std::uint32_t buffer = new_buffer(source->buffer());
      result.push_back(tflite::CreateMetadata(
          builder_, builder_.CreateString(name.data(), name.size()), buffer));
    }
    return builder_.CreateVector(result);
  }

  // Metadata without names, as in files of 2019, is a list of buffers.
  fb::Offset<fb::Vector<std::int32_t>> write_unnamed_metadata() {
    if (state_.root->metadata_buffer() == nullptr) return 0;
    std::vector<std::int32_t> result;
    for (const std::int32_t buffer : *state_.root->metadata_buffer())
      result.push_back(static_cast<std::int32_t>(new_buffer(static_cast<std::uint32_t>(buffer))));
    return builder_.CreateVector(result);
  }

  // All weights refer to one empty vector until assemble() patches the offsets.
  fb::Offset<fb::Vector<fb::Offset<tflite::Buffer>>> write_buffers() {
    builder_.ForceVectorAlignment(0, sizeof(std::uint8_t), kBlobAlignment);
    const auto stand_in = builder_.CreateVector(std::vector<std::uint8_t>{});
    std::vector<fb::Offset<tflite::Buffer>> buffers{tflite::CreateBuffer(builder_)};
    for (std::size_t i = 0; i < kept_buffers_.size(); ++i) {
      buffers.push_back(tflite::CreateBuffer(builder_, stand_in));
    }
    return builder_.CreateVector(buffers);
  }

  fb::Offset<fb::Vector<fb::Offset<tflite::OperatorCode>>> write_operator_codes() {
    std::vector<fb::Offset<tflite::OperatorCode>> codes;
    for (const std::uint32_t old_code : kept_codes_) {
      tflite::OperatorCodeT code;
      state_.root->operator_codes()->Get(old_code)->UnPackTo(&code);
      codes.push_back(tflite::CreateOperatorCode(builder_, &code));
    }
    return builder_.CreateVector(codes);
  }

  ModelImage assemble() {
    ModelImage image;
    // The length of each weight vector is stored before it, as a part of `structure_`. Views into
    // `structure_` would become invalid if it moved, so it gets its full size first.
    const std::size_t table_bytes =
        (builder_.GetSize() + kBlobAlignment - 1) / kBlobAlignment * kBlobAlignment;
    const std::size_t header_bytes = kept_buffers_.size() * kBlobAlignment;
    const std::size_t directory_bytes = keeps_archive() ? state_.archive->directory.size() : 0;
    image.structure_.resize(table_bytes + header_bytes + directory_bytes);
    const auto* built = reinterpret_cast<const std::byte*>(builder_.GetBufferPointer());
    std::copy_n(built, builder_.GetSize(), image.structure_.begin());
    auto* start = reinterpret_cast<std::uint8_t*>(image.structure_.data());
    const auto& buffers = *tflite::GetModel(start)->buffers();

    const std::span<const std::byte> structure(image.structure_);
    image.pieces_.push_back(structure.first(table_bytes));
    std::uint64_t position = table_bytes;
    for (std::size_t i = 0; i < kept_buffers_.size(); ++i) {
      const std::span<const std::byte> blob = kept_buffers_[i];
      // Each vector's length is at the end of a 16-byte line, so that its data is aligned.
      const std::size_t header = table_bytes + i * kBlobAlignment;
      const std::uint64_t vector_position = position + kBlobAlignment - sizeof(fb::uoffset_t);
      fb::WriteScalar(start + header + kBlobAlignment - sizeof(fb::uoffset_t),
                      static_cast<fb::uoffset_t>(blob.size()));
      check_size(vector_position + blob.size());
      patch_data_offset(start, *buffers[static_cast<fb::uoffset_t>(i + 1)], vector_position);
      const std::size_t tail = (kBlobAlignment - blob.size() % kBlobAlignment) % kBlobAlignment;
      image.pieces_.push_back(structure.subspan(header, kBlobAlignment));
      image.pieces_.push_back(blob);
      if (tail != 0) image.pieces_.push_back(std::span(kPadding).first(tail));
      position += kBlobAlignment + blob.size() + tail;
    }
    if (keeps_archive()) append_archive(image, table_bytes + header_bytes, position);
    return image;
  }

  // The archive holds labels of the model's outputs, so only segments with such an output keep it.
  [[nodiscard]] bool keeps_archive() const {
    return state_.archive && std::ranges::any_of(border_.outputs, [&](TensorId id) {
             return std::ranges::find(model_.outputs(), id) != model_.outputs().end();
           });
  }

  // `place`: position of the directory in the structure; `position`: position of the archive in the
  // file.
  void append_archive(ModelImage& image, std::size_t place, std::uint64_t position) const {
    const Archive& archive = *state_.archive;
    check_size(position + archive.contents.size() + archive.directory.size());
    std::ranges::copy(moved_directory(archive, state_.file->view(), position),
                      image.structure_.begin() + static_cast<std::ptrdiff_t>(place));
    image.pieces_.push_back(archive.contents);
    image.pieces_.push_back(
        std::span<const std::byte>(image.structure_).subspan(place, archive.directory.size()));
  }

  void check_size(std::uint64_t bytes) const {
    if (bytes <= kLargestFlatbufferBytes) return;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: a segment would exceed the 2 GB of a .tflite file; use more "
                            "segments",
                            model_.name()));
  }

  static void patch_data_offset(std::uint8_t* start, const tflite::Buffer& buffer,
                                std::uint64_t vector_position) {
    const auto& table = reinterpret_cast<const fb::Table&>(buffer);
    const std::uint8_t* field = table.GetAddressOf(tflite::Buffer::VT_DATA);
    const auto field_position = static_cast<std::uint64_t>(field - start);
    fb::WriteScalar(start + field_position,
                    static_cast<fb::uoffset_t>(vector_position - field_position));
  }

  const Model& model_;
  const Model::State& state_;
  std::vector<bool> inside_;
  SegmentBorder border_;
  fb::FlatBufferBuilder builder_;
  std::vector<std::int32_t> new_tensor_;  // per old tensor; -1: left out
  std::vector<TensorId> kept_tensors_;
  std::vector<std::uint32_t> kept_codes_;  // old numbers, in new order
  std::map<std::uint32_t, std::uint32_t> code_numbers_;
  std::map<std::pair<const std::byte*, std::size_t>, std::uint32_t> buffer_numbers_;
  std::vector<std::span<const std::byte>> kept_buffers_;  // new buffer i + 1
};

std::uint64_t ModelImage::size_bytes() const {
  std::uint64_t size = 0;
  for (const auto& piece : pieces_) size += piece.size();
  return size;
}

std::vector<std::byte> ModelImage::to_bytes() const {
  std::vector<std::byte> bytes;
  bytes.reserve(size_bytes());
  for (const auto& piece : pieces_) bytes.insert(bytes.end(), piece.begin(), piece.end());
  return bytes;
}

ModelImage extract_segment(const Model& model, std::span<const OperatorId> operators) {
  if (operators.empty()) {
    throw Error(ErrorCode::kInvalidArgument, model.name() + ": the segment has no operators");
  }
  auto inside = membership(model, operators);
  check_extractable(model, inside);
  auto border = border_of(model, inside);
  if (border.outputs.empty()) refuse_without_outputs(model, operators);
  return ImageWriter(model, std::move(inside), std::move(border)).write();
}

std::span<const std::byte> Model::runnable_bytes() const {
  if (state_->subgraph_position == 0 && state_->is_flatbuffer_alone) return bytes();
  std::call_once(state_->runnable_is_made,
                 [&] { state_->runnable = expose_tensors(*this, {}).to_bytes(); });
  return state_->runnable;
}

ModelImage expose_tensors(const Model& model, std::span<const TensorId> tensors) {
  SegmentBorder border;
  border.inputs.assign(model.inputs().begin(), model.inputs().end());
  border.outputs.assign(model.outputs().begin(), model.outputs().end());
  std::vector<bool> is_output(model.tensors().size());
  for (const TensorId id : border.outputs) is_output[index(id)] = true;
  for (const TensorId id : tensors) {
    if (is_output[index(id)] || !model.producer(id)) continue;
    is_output[index(id)] = true;
    border.outputs.push_back(id);
  }
  return ImageWriter(model, std::vector<bool>(model.operators().size(), true), std::move(border))
      .write();
}

bool has_interface_metadata(const Model& model) {
  const auto* metadata = ModelReader::state(model).root->metadata();
  if (metadata == nullptr) return false;
  return std::any_of(metadata->begin(), metadata->end(), [](const tflite::Metadata* entry) {
    return entry->name() != nullptr && entry->name()->string_view() == kInterfaceMetadata;
  });
}

}  // namespace segue
