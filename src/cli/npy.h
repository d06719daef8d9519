// Writes tensors as NumPy files, which most languages can read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "segue/runtime.h"

namespace segue::cli {

// Returns the header of a .npy file of format 1.0. Types that NumPy lacks (strings, int4, bfloat16)
// are described as bytes in one dimension. A value whose size does not match the port's shape is
// described as one dimension of elements.
[[nodiscard]] std::string npy_header(const Port& port, std::uint64_t bytes);

// Returns for example "000042_1_Identity.npy": the number of the item, and the position and name of
// the output. In the name, '_' replaces all characters except letters, digits, '.', '-' and '_'.
[[nodiscard]] std::string npy_file_name(std::uint64_t item, std::size_t output,
                                        const std::string& name);

// Writes one file per output to `folder`. If an error occurs, no file is written. Throws
// Error(kIo).
void write_npy_files(const std::filesystem::path& folder, std::uint64_t item,
                     std::span<const Port> outputs, std::span<const TensorBytes> values);

}  // namespace segue::cli
