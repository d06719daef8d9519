// Tensors as files of NumPy, so that any language reads what a run computed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "segue/runtime.h"

namespace segue::cli {

// What stands before the values in a .npy file of format 1.0. Types that NumPy lacks (strings,
// int4, bfloat16) are described as bytes in one dimension, and so is a value whose size is not that
// of the port's shape, in elements.
[[nodiscard]] std::string npy_header(const Port& port, std::uint64_t bytes);

// "000042_1_Identity.npy": number of the item, position and name of the output; what is not a
// letter, a digit, '.', '-' or '_' in the name is replaced by '_'.
[[nodiscard]] std::string npy_file_name(std::uint64_t item, std::size_t output,
                                        const std::string& name);

// Writes one file per output to `folder`, all of them or none. Throws Error(kIo).
void write_npy_files(const std::filesystem::path& folder, std::uint64_t item,
                     std::span<const Port> outputs, std::span<const TensorBytes> values);

}  // namespace segue::cli
