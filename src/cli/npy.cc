#include "cli/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "segue/file.h"

namespace segue::cli {
namespace {

struct NumPyType {
  const char* code;  // '<': little-endian, as all machines that Segue runs on
  std::uint64_t bytes;
};

// Indexed by the type numbers of the .tflite format.
NumPyType numpy_type(ElementType type) {
  constexpr NumPyType kBytes{"|u1", 1};
  constexpr std::array<NumPyType, 17> kTypes{{{"<f4", 4},
                                              {"<f2", 2},
                                              {"<i4", 4},
                                              {"|u1", 1},
                                              {"<i8", 8},
                                              kBytes,  // STRING
                                              {"|b1", 1},
                                              {"<i2", 2},
                                              {"<c8", 8},
                                              {"|i1", 1},
                                              {"<f8", 8},
                                              {"<c16", 16},
                                              {"<u8", 8},
                                              kBytes,  // RESOURCE
                                              kBytes,  // VARIANT
                                              {"<u4", 4},
                                              {"<u2", 2}}};
  const auto number = static_cast<std::size_t>(type);
  return number < kTypes.size() ? kTypes.at(number) : kBytes;
}

}  // namespace

std::string npy_header(const Port& port, std::uint64_t bytes) {
  const NumPyType type = numpy_type(port.type);
  std::vector<std::uint64_t> shape(port.shape.begin(), port.shape.end());
  std::uint64_t expected = type.bytes;
  for (const std::uint64_t extent : shape) expected *= extent;
  if (expected != bytes) shape = {bytes / type.bytes};
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 type.code, fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  // The magic string, version and length take ten bytes. The header ends with a line end, and the
  // values begin at a multiple of 64.
  constexpr std::size_t kBefore = 10;
  constexpr std::size_t kAlignment = 64;
  text.append(kAlignment - 1 - (kBefore + text.size()) % kAlignment, ' ');
  text += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size() & 0xFFU) +
         static_cast<char>(text.size() >> 8U) + text;
}

std::string npy_file_name(std::uint64_t item, std::size_t output, const std::string& name) {
  constexpr std::size_t kLongest = 100;
  std::string safe = name.substr(0, kLongest);
  for (char& c : safe) {
    const bool is_safe = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                         std::string_view("._-").find(c) != std::string_view::npos;
    if (!is_safe) c = '_';
  }
  return fmt::format("{:06}_{}_{}.npy", item, output, safe);
}

void write_npy_files(const std::filesystem::path& folder, std::uint64_t item,
                     std::span<const Port> outputs, std::span<const TensorBytes> values) {
  StagedFiles files;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string header = npy_header(outputs[i], values[i].size());
    const std::array<std::span<const std::byte>, 2> pieces{std::as_bytes(std::span(header)),
                                                           values[i]};
    files.stage(folder / npy_file_name(item, i, outputs[i].name), pieces);
  }
  files.commit();
}

}  // namespace segue::cli
