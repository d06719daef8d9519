#include "segue/graph.h"

#include <algorithm>
#include <deque>

#include "model/internal/operator_kinds.h"

namespace segue {
namespace {

std::uint64_t elements_of(const Tensor& tensor) {
  std::uint64_t count = 1;
  for (const std::int32_t extent : tensor.shape) count *= static_cast<std::uint64_t>(extent);
  return count;
}

const Tensor* input(const Model& model, const Operator& op, std::size_t position) {
  if (position >= op.inputs.size() || op.inputs[position] < 0) return nullptr;
  return &model.tensor(tensor_id(op.inputs[position]));
}

// Returns the elements of all constant matrices that an LSTM reads. Each matrix is multiplied once
// per time step.
std::uint64_t recurrent_weights(const Model& model, const Operator& op) {
  std::uint64_t elements = 0;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const Tensor* tensor = input(model, op, i);
    if (tensor != nullptr && tensor->is_constant() && tensor->shape.size() == 2)
      elements += elements_of(*tensor);
  }
  return elements;
}

// Shapes: activations [N, H, W, C]; CONV_2D weights [Co, kh, kw, Ci]; DEPTHWISE_CONV_2D weights
// [1, kh, kw, C]; FULLY_CONNECTED weights [No, Ni]; TRANSPOSE_CONV weights [Co, kh, kw, Ci].
std::uint64_t count_macs(const Model& model, const Operator& op) {
  const Tensor* weights = input(model, op, 1);
  if (weights == nullptr || op.outputs.empty()) return 0;
  const std::uint64_t outputs = elements_of(model.tensor(tensor_id(op.outputs[0])));
  switch (kind_of(op.code).loop) {
    case Loop::kConvolution:
      return outputs * extent(*weights, 1) * extent(*weights, 2) * extent(*weights, 3);
    case Loop::kDepthwise:
      return outputs * extent(*weights, 1) * extent(*weights, 2);
    case Loop::kDense:
      return outputs * extent(*weights, 1);
    case Loop::kTransposeConvolution: {
      const Tensor* activation = input(model, op, 2);
      return activation == nullptr ? 0
                                   : elements_of(*activation) * extent(*weights, 0) *
                                         extent(*weights, 1) * extent(*weights, 2);
    }
    case Loop::kRecurrent: {
      const Tensor* sequence = input(model, op, 0);
      return sequence == nullptr ? 0 : recurrent_weights(model, op) * extent(*sequence, 1);
    }
    default:
      return 0;
  }
}

}  // namespace

Graph::Graph(const Model& model)
    : model_(&model),
      stats_(model.operators().size()),
      readers_(stats_.size()),
      writers_(stats_.size()),
      lifetimes_(model.tensors().size()) {
  // File order is execution order (checked by the reader), so one pass determines the depths.
  for (std::size_t i = 0; i < stats_.size(); ++i) {
    link(operator_id(i));
    weigh(operator_id(i));
  }
  sum_levels();
  count_crossings();
}

// Sets the depth and the neighbours of an operator, and when its tensors are written and last read.
void Graph::link(OperatorId id) {
  const Operator& op = model_->op(id);
  std::uint32_t& depth = stats_[index(id)].depth;
  depth = 1;
  for (const std::int32_t position : op.inputs) {
    if (position < 0) continue;
    const auto writer = model_->producer(tensor_id(position));
    if (!writer) continue;
    depth = std::max(depth, stats_[index(*writer)].depth + 1);
    auto& readers = readers_[index(*writer)];
    // Readers arrive in file order, so a second read by this operator would follow the first.
    if (readers.empty() || readers.back() != id) {
      readers.push_back(id);
      writers_[index(id)].push_back(*writer);
    }
  }
  for (const std::int32_t position : op.outputs)
    lifetimes_[static_cast<std::size_t>(position)].written = depth;
  for (const std::int32_t position : op.inputs) {
    if (position < 0) continue;
    Lifetime& lifetime = lifetimes_[static_cast<std::size_t>(position)];
    lifetime.last_read = std::max(lifetime.last_read, depth);
  }
}

void Graph::weigh(OperatorId id) {
  const Operator& op = model_->op(id);
  OperatorStats& stats = stats_[index(id)];
  for (const std::int32_t position : op.inputs) {
    if (position < 0) continue;
    const Tensor& tensor = model_->tensor(tensor_id(position));
    if (tensor.is_constant()) {
      stats.parameter_bytes += tensor.data.size();
    } else {
      stats.input_bytes += tensor.bytes;
    }
  }
  for (const std::int32_t position : op.outputs)
    stats.output_bytes += model_->tensor(tensor_id(position)).bytes;
  stats.macs = count_macs(*model_, op);
  parameter_bytes_ += stats.parameter_bytes;
  macs_ += stats.macs;
}

void Graph::sum_levels() {
  std::uint32_t deepest = 0;
  for (const OperatorStats& stats : stats_) deepest = std::max(deepest, stats.depth);
  levels_.resize(deepest);
  for (std::uint32_t d = 0; d < deepest; ++d) levels_[d].depth = d + 1;
  for (const OperatorStats& stats : stats_) {
    Level& level = levels_[stats.depth - 1];
    ++level.operator_count;
    level.parameter_bytes += stats.parameter_bytes;
    level.macs += stats.macs;
    level.output_bytes += stats.output_bytes;
  }
  level_starts_.assign(deepest + 1, 0);
  for (std::uint32_t d = 0; d < deepest; ++d)
    level_starts_[d + 1] = level_starts_[d] + levels_[d].operator_count;
  by_depth_.resize(stats_.size());
  std::vector<std::size_t> next(level_starts_);
  for (std::size_t i = 0; i < stats_.size(); ++i)
    by_depth_[next[stats_[i].depth - 1]++] = operator_id(i);
}

// A tensor begins to cross cuts at the depth that writes it, and ends at its last reader. Sums over
// these begins and ends give the crossings, without visiting each depth that a tensor spans.
void Graph::count_crossings() {
  std::vector<std::int64_t> tensor_steps(levels_.size() + 1);
  std::vector<std::int64_t> byte_steps(levels_.size() + 1);
  for (std::size_t i = 0; i < lifetimes_.size(); ++i) {
    const Tensor& tensor = model_->tensors()[i];
    const std::uint32_t first = std::max(lifetimes_[i].written, 1U);
    const std::uint32_t last = lifetimes_[i].last_read;
    if (tensor.is_constant() || tensor.is_variable || first >= last) continue;
    ++tensor_steps[first - 1];
    --tensor_steps[last - 1];
    byte_steps[first - 1] += static_cast<std::int64_t>(tensor.bytes);
    byte_steps[last - 1] -= static_cast<std::int64_t>(tensor.bytes);
  }
  std::int64_t tensors = 0;
  std::int64_t bytes = 0;
  for (std::size_t d = 0; d < levels_.size(); ++d) {
    tensors += tensor_steps[d];
    bytes += byte_steps[d];
    levels_[d].crossing_tensors = static_cast<std::uint32_t>(tensors);
    levels_[d].crossing_bytes = static_cast<std::uint64_t>(bytes);
  }
}

std::vector<OperatorId> Graph::operators_between(std::uint32_t first, std::uint32_t last) const {
  if (first < 1 || first > last || last > depth()) return {};
  const auto begin = by_depth_.begin() + static_cast<std::ptrdiff_t>(level_starts_[first - 1]);
  const auto end = by_depth_.begin() + static_cast<std::ptrdiff_t>(level_starts_[last]);
  std::vector<OperatorId> result(begin, end);
  std::ranges::sort(result);
  return result;
}

std::vector<TensorId> Graph::crossing(std::uint32_t depth) const {
  std::vector<TensorId> result;
  for (std::size_t i = 0; i < lifetimes_.size(); ++i) {
    const Tensor& tensor = model_->tensors()[i];
    if (tensor.is_constant() || tensor.is_variable) continue;
    if (lifetimes_[i].written <= depth && depth < lifetimes_[i].last_read) {
      result.push_back(tensor_id(i));
    }
  }
  return result;
}

std::vector<OperatorId> Graph::vendor_order() const {
  // The readers of each tensor, and the number of reads that each operator waits for. Each read has
  // one entry, as in libcoral.
  std::vector<std::vector<OperatorId>> readers(lifetimes_.size());
  std::vector<std::size_t> waiting_for(stats_.size());
  for (std::size_t i = 0; i < stats_.size(); ++i) {
    for (const std::int32_t position : model_->op(operator_id(i)).inputs) {
      if (position < 0 || !model_->producer(tensor_id(position))) continue;
      readers[static_cast<std::size_t>(position)].push_back(operator_id(i));
      ++waiting_for[i];
    }
  }
  std::deque<OperatorId> stack;
  for (std::size_t i = 0; i < stats_.size(); ++i) {
    if (waiting_for[i] == 0) stack.push_back(operator_id(i));
  }
  std::vector<OperatorId> order;
  order.reserve(stats_.size());
  while (!stack.empty()) {
    const OperatorId id = stack.back();
    stack.pop_back();
    order.push_back(id);
    for (const std::int32_t output : model_->op(id).outputs) {
      for (const OperatorId reader : readers[static_cast<std::size_t>(output)]) {
        if (--waiting_for[index(reader)] > 0) continue;
        if (readers_[index(reader)].empty()) {
          stack.push_front(reader);
        } else {
          stack.push_back(reader);
        }
      }
    }
  }
  return order;
}

}  // namespace segue
