#include "segue/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "segue/graph.h"
#include "verify/execution.h"
#include "verify/mismatch.h"

namespace segue {
namespace {

// Matches operators of the segments with those of the whole model.
class Structure {
 public:
  Structure(const Model& whole, const std::vector<Model>& segments, VerifyReport& report)
      : whole_(whole),
        segments_(segments),
        report_(report),
        home_(whole.operators().size(), kNowhere) {}

  void check(const Plan* plan) {
    if (plan != nullptr && plan->model.sha256 != sha256(whole_.bytes()))
      differ("plan.json is of another model ('{}')", plan->model.name);
    for (const TensorId input : whole_.inputs())
      given_.emplace(whole_.unique_name(input), "the model's inputs");
    for (std::size_t s = 0; s < segments_.size(); ++s) check_segment(s);
    for (std::size_t i = 0; i < home_.size(); ++i) {
      if (home_[i] == kNowhere) differ("{} is in no segment", whole_.describe(operator_id(i)));
    }
    if (plan != nullptr) check_plan(*plan);
    for (const TensorId output : whole_.outputs()) {
      if (!given_.contains(whole_.unique_name(output)))
        differ("model output '{}' is given by no segment", whole_.unique_name(output));
    }
  }

 private:
  static constexpr auto kNowhere = static_cast<std::size_t>(-1);

  void check_segment(std::size_t s) {
    const Model& segment = segments_[s];
    for (const TensorId input : segment.inputs()) {
      if (!given_.contains(segment.unique_name(input))) {
        differ("segment {} reads '{}', which no earlier segment gives", s,
               segment.unique_name(input));
      }
    }
    for (std::size_t i = 0; i < segment.operators().size(); ++i) check_operator(s, operator_id(i));
    for (const TensorId output : segment.outputs())
      given_.emplace(segment.unique_name(output), fmt::format("segment {}", s));
  }

  [[nodiscard]] std::optional<OperatorId> counterpart(const std::string& output_name) const {
    const auto tensor = whole_.find_tensor(output_name);
    return tensor ? whole_.producer(*tensor) : std::nullopt;
  }

  void check_operator(std::size_t s, OperatorId id) {
    const Model& segment = segments_[s];
    const Operator& op = segment.op(id);
    const std::string label = fmt::format("segment {}: {}", s, segment.describe(id));
    if (op.outputs.empty()) differ("{} computes nothing", label);
    const auto match = counterpart(segment.unique_name(tensor_id(op.outputs[0])));
    if (!match) differ("{} is not in the whole model", label);
    if (home_[index(*match)] != kNowhere) {
      differ("{} is in segment {} already", label, home_[index(*match)]);
    }
    home_[index(*match)] = s;
    if (!same_operation(whole_, *match, segment, id))
      differ("{} has other options than in the whole model", label);
    check_tensors(label, segment, op.inputs, whole_.op(*match).inputs);
    check_tensors(label, segment, op.outputs, whole_.op(*match).outputs);
    ++report_.operator_count;
  }

  void check_plan(const Plan& plan) const {
    if (plan.stages.size() != segments_.size())
      differ("plan.json has {} stages, there are {} segments", plan.stages.size(),
             segments_.size());
    for (std::size_t s = 0; s < segments_.size(); ++s) check_stage(s, plan.stages[s]);
  }

  void check_stage(std::size_t s, const Stage& stage) const {
    for (const OperatorId id : stage.operators) {
      if (index(id) >= home_.size() || home_[index(id)] != s)
        differ("plan.json: operator {} is not in segment {}", index(id), s);
    }
    const Model& segment = segments_[s];
    if (stage.operators.size() != segment.operators().size())
      differ("plan.json: stage {} has {} operators, the segment {}", s, stage.operators.size(),
             segment.operators().size());
    const std::uint64_t bytes = Graph(segment).parameter_bytes();
    if (stage.parameter_bytes != bytes)
      differ("plan.json: stage {} has {} parameter bytes, the segment {}", s, stage.parameter_bytes,
             bytes);
    check_names(s, "inputs", stage.inputs, segment, segment.inputs());
    check_names(s, "outputs", stage.outputs, segment, segment.outputs());
  }

  static void check_names(std::size_t s, const char* what, const std::vector<std::string>& planned,
                          const Model& segment, std::span<const TensorId> tensors) {
    const auto is_same = [&](const std::string& name, TensorId id) {
      return name == segment.unique_name(id);
    };
    if (!std::ranges::equal(planned, tensors, is_same))
      differ("plan.json: {} of stage {} are not those of the segment", what, s);
  }

  void check_tensors(const std::string& label, const Model& segment,
                     std::span<const std::int32_t> in_segment,
                     std::span<const std::int32_t> in_whole) {
    if (in_segment.size() != in_whole.size()) {
      differ("{} has {} tensors where the whole model has {}", label, in_segment.size(),
             in_whole.size());
    }
    for (std::size_t i = 0; i < in_segment.size(); ++i) {
      if ((in_segment[i] < 0) != (in_whole[i] < 0))
        differ("{}: optional tensor {} differs", label, i);
      if (in_segment[i] >= 0)
        check_tensor(label, segment, tensor_id(in_segment[i]), tensor_id(in_whole[i]));
    }
  }

  void check_tensor(const std::string& label, const Model& segment, TensorId in_segment,
                    TensorId in_whole) {
    const Tensor& a = segment.tensor(in_segment);
    const Tensor& b = whole_.tensor(in_whole);
    const std::string& name = whole_.unique_name(in_whole);
    if (a.name != name) differ("{}: tensor '{}' became '{}'", label, name, a.name);
    if (a.type != b.type || !std::ranges::equal(a.shape, b.shape) ||
        a.is_variable != b.is_variable) {
      differ("{}: type or shape of '{}' differs", label, name);
    }
    if (!std::ranges::equal(a.quantization.scales, b.quantization.scales) ||
        !std::ranges::equal(a.quantization.zero_points, b.quantization.zero_points) ||
        a.quantization.dimension != b.quantization.dimension) {
      differ("{}: quantization of '{}' differs", label, name);
    }
    if (!std::ranges::equal(a.data, b.data)) differ("{}: the constant '{}' differs", label, name);
    report_.parameter_bytes += a.data.size();
  }

  const Model& whole_;
  const std::vector<Model>& segments_;
  VerifyReport& report_;
  std::vector<std::size_t> home_;                       // segment per operator of the whole model
  std::unordered_map<std::string, std::string> given_;  // tensor name → who gives it
};

}  // namespace

VerifyReport verify_segments(const Model& whole, std::span<const std::filesystem::path> files,
                             const Backend& backend, const VerifyOptions& options) {
  std::vector<Model> segments;
  for (const auto& file : files) segments.push_back(read_model(file));
  VerifyReport report;
  report.segment_count = segments.size();
  try {
    Structure(whole, segments, report).check(options.plan ? &*options.plan : nullptr);
    check_execution(whole, segments, backend, options, report);
  } catch (const Mismatch& mismatch) {
    report.mismatch = mismatch.text;
  }
  return report;
}

}  // namespace segue
