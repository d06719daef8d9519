#include "model/internal/flatbuffer.h"

#include "model/internal/schema.h"

namespace segue {
namespace {

constexpr std::size_t kSmallestFileBytes = 24;
// Far above real models (NASNetMobile has about 8,000 tables), and low enough to limit the work for
// a malicious file.
constexpr flatbuffers::uoffset_t kMaxTables = 2'000'000;
constexpr flatbuffers::uoffset_t kMaxDepth = 32;

static_assert(kLargestFlatbufferBytes < FLATBUFFERS_MAX_BUFFER_SIZE, "as the verifier asserts");

}  // namespace

bool is_model_flatbuffer(std::span<const std::byte> bytes) {
  if (bytes.size() < kSmallestFileBytes || bytes.size() > kLargestFlatbufferBytes) return false;
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size(), kMaxDepth, kMaxTables);
  return tflite::VerifyModelBuffer(verifier);
}

}  // namespace segue
