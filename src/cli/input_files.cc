#include "cli/input_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/internal/inputs.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue::cli {
namespace {

std::string names_of(std::span<const Port> inputs) {
  std::vector<std::string> names;
  for (const Port& input : inputs) names.push_back("'" + input.name + "'");
  return fmt::format("{}", fmt::join(names, ", "));
}

// Returns the input whose name and '=' the text begins with, or the number of inputs if there is
// none. If several match, the longest name wins.
std::size_t named_input(const std::string& text, std::span<const Port> inputs) {
  std::size_t best = inputs.size();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!text.starts_with(inputs[i].name + "=")) continue;
    if (best == inputs.size() || inputs[i].name.size() > inputs[best].name.size()) best = i;
  }
  return best;
}

}  // namespace

InputFiles::InputFiles(const std::vector<std::string>& given, std::span<const Port> inputs)
    : inputs_(inputs), files_(inputs.size()) {
  for (const std::string& text : given) {
    const std::size_t input = named_input(text, inputs);
    if (input < inputs.size()) {
      files_[input].push_back(text.substr(inputs[input].name.size() + 1));
    } else if (inputs.size() == 1) {
      files_[0].push_back(text);
    } else {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--input '{}': the model has {}: {}; give NAME=FILE for each of them",
                              text, format_count(inputs.size(), "input"), names_of(inputs)));
    }
  }
  for (std::size_t i = 1; i < files_.size(); ++i) {
    if (files_[i].size() == files_[0].size()) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "--input: {} for '{}', but {} for '{}'; give the same number of files for each input",
            format_count(files_[0].size(), "file"), inputs[0].name, files_[i].size(),
            inputs[i].name));
  }
}

std::vector<TensorBytes> InputFiles::read(std::size_t item) const {
  std::vector<TensorBytes> values;
  for (std::size_t i = 0; i < files_.size(); ++i)
    values.push_back(read_input(files_[i][item], inputs_[i]));
  return values;
}

std::string InputFiles::title(std::size_t item) const {
  std::vector<std::string> names;
  for (const auto& files : files_) names.push_back(files[item]);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace segue::cli
