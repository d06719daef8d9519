#include "model/execution_order.h"

#include <fmt/format.h>

#include <cstddef>
#include <vector>

namespace segue {
namespace {

using Finding = std::optional<std::string>;

class Order {
 public:
  explicit Order(Model::State& state)
      : state_(state), available_(state.tensors.size()), is_written_(state.tensors.size()) {
    state.producers.assign(state.tensors.size(), -1);
    for (std::size_t i = 0; i < available_.size(); ++i)
      available_[i] = state.tensors[i].is_constant() || state.tensors[i].is_variable;
    for (const TensorId input : state.inputs) available_[index(input)] = true;
    for (const Operator& op : state.operators) {
      for (const std::int32_t tensor : op.outputs)
        is_written_[static_cast<std::size_t>(tensor)] = true;
    }
  }

  Finding execute() {
    for (std::size_t i = 0; i < state_.operators.size(); ++i) {
      if (auto found = read(i)) return found;
      if (auto found = write(i)) return found;
    }
    for (const TensorId output : state_.outputs) {
      if (!available_[index(output)])
        return fmt::format("no operator writes the model output '{}'",
                           state_.tensors[index(output)].name);
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] Finding read(std::size_t i) const {
    const Operator& op = state_.operators[i];
    for (const std::int32_t tensor : op.inputs) {
      if (tensor < 0) continue;
      const auto position = static_cast<std::size_t>(tensor);
      // Some operators read an empty tensor that no operator computes as "no value".
      const bool is_no_value = state_.tensors[position].bytes == 0 && !is_written_[position];
      if (available_[position] || is_no_value) continue;
      return fmt::format("operator #{} {} reads tensor #{} '{}' before it is written", i, op.name,
                         tensor, state_.tensors[position].name);
    }
    return std::nullopt;
  }

  Finding write(std::size_t i) {
    const Operator& op = state_.operators[i];
    for (const std::int32_t tensor : op.outputs) {
      const auto position = static_cast<std::size_t>(tensor);
      if (available_[position]) {
        return fmt::format("operator #{} {} writes tensor #{} '{}' a second time", i, op.name,
                           tensor, state_.tensors[position].name);
      }
      available_[position] = true;
      state_.producers[position] = static_cast<std::int32_t>(i);
    }
    return std::nullopt;
  }

  Model::State& state_;
  std::vector<bool> available_;
  std::vector<bool> is_written_;
};

}  // namespace

std::optional<std::string> order_operators(Model::State& state) { return Order(state).execute(); }

}  // namespace segue
