// The files that `segue run --input` names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "segue/runtime.h"

namespace segue::cli {

// Files for each input of a model. Item k consists of the k-th file of every input.
class InputFiles {
 public:
  // `given`: NAME=FILE, or FILE alone for a model with one input. Throws Error(kInvalidArgument)
  // that names the inputs if a file belongs to no input, or if the inputs differ in their number of
  // files.
  InputFiles(const std::vector<std::string>& given, std::span<const Port> inputs);

  [[nodiscard]] std::size_t item_count() const { return files_.empty() ? 0 : files_[0].size(); }
  // Returns one value per input. Throws the same errors as read_input.
  [[nodiscard]] std::vector<TensorBytes> read(std::size_t item) const;
  // The item's files, separated by commas.
  [[nodiscard]] std::string title(std::size_t item) const;

 private:
  std::span<const Port> inputs_;
  std::vector<std::vector<std::string>> files_;  // per input
};

}  // namespace segue::cli
