#include "report/border.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "segue/report.h"

namespace segue {

std::string shape_text(const Tensor& tensor) {
  return fmt::format("{}", fmt::join(tensor.shape, "x"));
}

std::string border_text(const Model& model, std::span<const TensorId> tensors) {
  std::vector<std::string> parts;
  for (const TensorId id : tensors) {
    const Tensor& tensor = model.tensor(id);
    parts.push_back(fmt::format("{} {} {}", printable(model.unique_name(id), 60),
                                to_string(tensor.type), shape_text(tensor)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

nlohmann::ordered_json border_json(const Model& model, std::span<const TensorId> tensors) {
  auto list = nlohmann::ordered_json::array();
  for (const TensorId id : tensors) {
    const Tensor& tensor = model.tensor(id);
    list.push_back({{"name", model.unique_name(id)},
                    {"type", to_string(tensor.type)},
                    {"shape", std::vector<std::int32_t>(tensor.shape.begin(), tensor.shape.end())},
                    {"bytes", tensor.bytes}});
  }
  return list;
}

}  // namespace segue
