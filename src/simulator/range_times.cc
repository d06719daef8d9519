#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "compiler/caching.h"
#include "segue/error.h"
#include "segue/simulator.h"
#include "simulator/operator_facts.h"

namespace segue {
namespace {

struct OutputTensor {
  std::uint64_t sent_bytes = 0;
  std::size_t writer = 0;
  std::size_t last_reader = 0;  // the writer itself where nobody reads
  bool is_model_output = false;
};

struct RangeOperator {
  OperatorFacts facts;
  std::vector<std::size_t> outputs;  // positions in the list of output tensors
  std::vector<std::size_t> last_reads;
};

// Facts of every operator, and the walk over the ranges that begin at one of them.
class RangeWalk {
 public:
  RangeWalk(const Graph& graph, const DeviceSpec& device)
      : model_(graph.model()),
        device_(device),
        operators_(graph.operator_count()),
        output_of_tensor_(model_.tensors().size(), kNone),
        seen_(model_.tensors().size(), 0) {
    for (std::size_t i = 0; i < operators_.size(); ++i) gather(operator_id(i));
    link_readers();
    std::ranges::sort(caching_order_, is_cached_before);
  }

  // Appends the times of [begin, begin + 1) … [begin, n).
  void append(std::size_t begin, std::vector<SegmentTime>& times) {
    SegmentSum sum;
    std::uint64_t cached_bytes = 0;
    Streaming uncached;
    bool is_crowded = false;
    for (std::size_t i = begin; i < operators_.size(); ++i) {
      const OperatorFacts& op = operators_[i].facts;
      sum.cycles += op.work.cycles;
      sum.last_cycles = op.work.cycles;
      cached_bytes += op.cached_bytes();
      uncached.added_ns += op.uncached.added_ns;
      uncached.hidden_ns += op.uncached.hidden_ns;
      is_crowded |= add_inputs(begin, i, sum);
      add_outputs(begin, i, sum);
      sum.streaming_ns = uncached.added_ns;
      sum.hidden_streaming_ns = uncached.hidden_ns;
      sum.last_streaming_ns = op.uncached.hidden_ns;
      const std::uint64_t capacity = parameter_capacity(device_.memory, sum.input_bytes);
      if (cached_bytes > capacity) add_spilled(begin, i, capacity, is_crowded, sum);
      times.push_back(sum.time(device_.timing));
    }
  }

 private:
  void gather(OperatorId id) {
    RangeOperator& op = operators_[index(id)];
    op.facts = operator_facts(model_, id, device_);
    if (op.facts.candidate) caching_order_.push_back(*op.facts.candidate);
    for (const std::int32_t position : model_.op(id).outputs) {
      op.outputs.push_back(outputs_.size());
      const Tensor& tensor = model_.tensor(tensor_id(position));
      outputs_.push_back({sent_bytes(tensor, device_), index(id), index(id), false});
      output_of_tensor_[static_cast<std::size_t>(position)] = outputs_.size() - 1;
    }
  }

  void link_readers() {
    for (std::size_t i = 0; i < operators_.size(); ++i) {
      for (const std::int32_t position : model_.op(operator_id(i)).inputs) {
        if (position < 0) continue;
        const std::size_t output = output_of_tensor_[static_cast<std::size_t>(position)];
        if (output != kNone) outputs_[output].last_reader = i;
      }
    }
    for (const TensorId id : model_.outputs()) {
      const std::size_t output = output_of_tensor_[index(id)];
      if (output != kNone) outputs_[output].is_model_output = true;
    }
    for (std::size_t t = 0; t < outputs_.size(); ++t) {
      if (outputs_[t].last_reader != outputs_[t].writer)
        operators_[outputs_[t].last_reader].last_reads.push_back(t);
    }
  }

  // Returns whether a map arrives from the host that crowds the tiles.
  bool add_inputs(std::size_t begin, std::size_t i, SegmentSum& sum) {
    const auto& inputs = model_.op(operator_id(i)).inputs;
    bool crowds = false;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k] < 0) continue;
      const auto position = static_cast<std::size_t>(inputs[k]);
      const Tensor& tensor = model_.tensors()[position];
      if (tensor.is_constant() || tensor.is_variable) continue;
      const std::size_t output = output_of_tensor_[position];
      if (output != kNone && outputs_[output].writer >= begin) continue;
      crowds |= k == 0 && operators_[i].facts.crowds_tile;
      if (std::exchange(seen_[position], begin + 1) != begin + 1) sum.input_bytes += tensor.bytes;
    }
    return crowds;
  }

  void add_outputs(std::size_t begin, std::size_t i, SegmentSum& sum) const {
    for (const std::size_t t : operators_[i].outputs) {
      if (outputs_[t].is_model_output || outputs_[t].last_reader > i)
        sum.output_bytes += outputs_[t].sent_bytes;
    }
    for (const std::size_t t : operators_[i].last_reads) {
      if (!outputs_[t].is_model_output && outputs_[t].writer >= begin)
        sum.output_bytes -= outputs_[t].sent_bytes;
    }
  }

  // Streaming of what does not fit, by the rule of the simulated compiler.
  void add_spilled(std::size_t begin, std::size_t last, std::uint64_t capacity, bool is_crowded,
                   SegmentSum& sum) const {
    std::uint64_t used = 0;
    for (const CachingCandidate& candidate : caching_order_) {
      const std::size_t i = index(candidate.op);
      if (i < begin || i > last) continue;
      if (used + candidate.footprint.cached_bytes <= capacity) {
        used += candidate.footprint.cached_bytes;
        continue;
      }
      const OperatorWork& work = operators_[i].facts.work;
      const std::uint32_t times =
          is_crowded && i == last ? std::max(work.crossings, kCrowdedCrossings) : work.crossings;
      const Streaming streamed =
          streaming(work, candidate.footprint.streamed_bytes, times, device_.timing);
      if (i == last) sum.last_streaming_ns = streamed.hidden_ns;
      sum.add(streamed);
    }
  }

  static constexpr auto kNone = static_cast<std::size_t>(-1);

  const Model& model_;
  const DeviceSpec& device_;
  std::vector<RangeOperator> operators_;
  std::vector<OutputTensor> outputs_;
  std::vector<std::size_t> output_of_tensor_;  // kNone: not computed
  std::vector<CachingCandidate> caching_order_;
  std::vector<std::size_t> seen_;  // per tensor: begin + 1 of the last range that counted it
};

bool all_on_device(const Model& model) {
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    if (!is_supported_on_device(model, operator_id(i))) return false;
  }
  return true;
}

// Where some operators run on the host, which ones depends on the range.
void append_one_by_one(const Graph& graph, const DeviceSpec& device, std::size_t begin,
                       std::vector<SegmentTime>& times) {
  const auto compiler = make_simulated_compiler(device);
  std::vector<OperatorId> operators;
  for (std::size_t i = begin; i < graph.operator_count(); ++i) {
    operators.push_back(operator_id(i));
    times.push_back(
        simulate_segment(graph, operators, compiler->compile(graph, operators), device));
  }
}

}  // namespace

RangeTimes::RangeTimes(const Graph& graph, const DeviceSpec& device)
    : count_(graph.operator_count()) {
  if (count_ > kMostOperators) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{}: {} operators; the times of all ranges are tabulated for at most {}",
                    graph.model().name(), count_, kMostOperators));
  }
  times_.reserve(count_ * (count_ + 1) / 2);
  const bool is_plain = all_on_device(graph.model());
  RangeWalk walk(graph, device);
  for (std::size_t begin = 0; begin < count_; ++begin) {
    row_starts_.push_back(times_.size());
    if (is_plain) {
      walk.append(begin, times_);
    } else {
      append_one_by_one(graph, device, begin, times_);
    }
  }
}

}  // namespace segue
