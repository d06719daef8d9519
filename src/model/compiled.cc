#include <flatbuffers/flexbuffers.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/internal/caching_tokens.h"
#include "segue/error.h"
#include "segue/model.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include "segue_schema/darwinn_generated.h"
#pragma GCC diagnostic pop

namespace segue {
namespace {

namespace fb = flatbuffers;

constexpr std::string_view kCompiledOperator = "edgetpu-custom-op";
constexpr std::string_view kEthosOperator = "ethos-u";
constexpr const char* kPackageKey = "4";

class PackageReader {
 public:
  // `looked_at`: bytes of programs read so far, over all operators of the file.
  PackageReader(const Model& model, OperatorId op, std::uint64_t& looked_at)
      : model_(model), op_(op), looked_at_(looked_at) {}

  // `take` is called with each program.
  template <typename Take>
  void each(const Take& take) const {
    Aligned package_copy;
    Aligned multi_copy;
    Aligned program_copy;
    const auto* package = verified<darwinn::Package>(find_package(), darwinn::PackageIdentifier(),
                                                     "package", package_copy);
    const auto* multi_bytes = package->serialized_multi_executable();
    if (multi_bytes == nullptr) fail("the package holds no programs");
    const auto* multi = verified<darwinn::MultiExecutable>(
        {multi_bytes->data(), multi_bytes->size()}, nullptr, "program list", multi_copy);
    if (multi->serialized_executables() == nullptr) fail("the package holds no programs");
    for (const fb::String* text : *multi->serialized_executables()) {
      // A list may refer to the same program many times.
      looked_at_ += text->size();
      if (looked_at_ > model_.bytes().size())
        fail("the programs need more bytes than the file has");
      const auto* data = reinterpret_cast<const std::uint8_t*>(text->data());
      take(*verified<darwinn::Executable>({data, text->size()}, nullptr, "program", program_copy));
    }
  }

  [[nodiscard]] CompiledExecutable describe(const darwinn::Executable& source) const {
    CompiledExecutable result;
    result.op = op_;
    result.type = static_cast<ExecutableType>(source.type());
    if (source.parameters() != nullptr) result.parameter_bytes = source.parameters()->size();
    if (source.instruction_bitstreams() != nullptr) {
      for (const auto* stream : *source.instruction_bitstreams()) {
        if (stream->bitstream() != nullptr) result.instruction_bytes += stream->bitstream()->size();
      }
    }
    result.scratch_bytes = static_cast<std::uint64_t>(std::max(0, source.scratch_size_bytes()));
    result.narrow_bytes_per_tile =
        static_cast<std::uint64_t>(std::max(0, source.used_narrow_memory_bytes_per_tile()));
    return result;
  }

 private:
  using Aligned = std::vector<std::uint64_t>;

  [[nodiscard]] static std::span<const std::uint8_t> aligned(std::span<const std::uint8_t> bytes,
                                                             Aligned& copy) {
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(std::uint64_t) == 0) return bytes;
    copy.resize(bytes.size() / sizeof(std::uint64_t) + 1);
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    return {reinterpret_cast<const std::uint8_t*>(copy.data()), bytes.size()};
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::kInvalidModel, fmt::format("{}: {}: {}; compile the model again",
                                                      model_.name(), model_.describe(op_), reason));
  }

  [[nodiscard]] std::span<const std::uint8_t> find_package() const {
    const auto custom = model_.op(op_).custom_data;
    const auto* data = reinterpret_cast<const std::uint8_t*>(custom.data());
    // `visited` records what was verified, so that nested values that share bytes are visited once.
    std::vector<std::uint8_t> visited;
    if (custom.empty() || !flexbuffers::VerifyBuffer(data, custom.size(), &visited)) {
      fail("the options are not a FlexBuffer");
    }
    const auto root = flexbuffers::GetRoot(data, custom.size());
    if (!root.IsMap()) fail("the options are not a map");
    const auto value = root.AsMap()[kPackageKey];
    if (!value.IsBlob() && !value.IsString()) fail("the options contain no package");
    if (value.IsBlob()) return {value.AsBlob().data(), value.AsBlob().size()};
    const auto text = value.AsString();
    return {reinterpret_cast<const std::uint8_t*>(text.c_str()), text.length()};
  }

  // Nothing aligns the bytes of a package or program in its file, but tables have numbers of 8
  // bytes. Misaligned bytes are read from `copy`, which must outlive the table.
  template <typename Table>
  const Table* verified(std::span<const std::uint8_t> bytes, const char* identifier,
                        const char* what, Aligned& copy) const {
    bytes = aligned(bytes, copy);
    constexpr std::size_t kSmallest = sizeof(fb::uoffset_t) + fb::kFileIdentifierLength;
    fb::Verifier verifier(bytes.data(), bytes.size());
    if (bytes.size() < kSmallest || !verifier.VerifyBuffer<Table>(identifier)) {
      fail(fmt::format("the {} of {} bytes is damaged", what, bytes.size()));
    }
    return fb::GetRoot<Table>(bytes.data());
  }

  const Model& model_;
  OperatorId op_;
  std::uint64_t& looked_at_;
};

// `take` is called with each program and its reader.
template <typename Take>
void each_program(const Model& model, const Take& take) {
  std::uint64_t looked_at = 0;
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    if (!is_compiled_program(model.operators()[i])) continue;
    const PackageReader reader(model, operator_id(i), looked_at);
    reader.each([&](const darwinn::Executable& program) { take(reader, program); });
  }
}

}  // namespace

std::vector<CompiledExecutable> compiled_executables(const Model& model) {
  std::vector<CompiledExecutable> result;
  each_program(model, [&](const PackageReader& reader, const darwinn::Executable& program) {
    result.push_back(reader.describe(program));
  });
  return result;
}

std::set<std::uint64_t> caching_tokens(const Model& model) {
  std::set<std::uint64_t> result;
  each_program(model, [&](const PackageReader&, const darwinn::Executable& program) {
    if (program.parameter_caching_token() != 0) result.insert(program.parameter_caching_token());
  });
  return result;
}

bool is_compiled_program(const Operator& op) {
  return op.code == OpCode::kCustom && op.name == kCompiledOperator;
}

bool is_compiled(const Model& model) {
  return std::ranges::any_of(model.operators(), is_compiled_program);
}

void check_not_compiled(const Model& model) {
  const bool is_for_ethos = std::ranges::any_of(model.operators(), [](const Operator& op) {
    return op.code == OpCode::kCustom && op.name == kEthosOperator;
  });
  if (!is_for_ethos && !is_compiled(model)) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: already compiled for {}; a compiled program cannot be split: split "
                          "the quantized .tflite file from which it was compiled{}",
                          model.name(), is_for_ethos ? "Arm's Ethos-U (by Vela)" : "the Edge TPU",
                          is_for_ethos ? "" : ", then compile each segment"));
}

}  // namespace segue
