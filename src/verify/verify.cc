#include "segue/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <unordered_map>
#include <utility>

#include "segue/error.h"
#include "segue/graph.h"

namespace segue {
namespace {

using Bytes = std::vector<std::byte>;
using Values = std::unordered_map<std::string, Bytes>;  // by tensor name

// Carries a finding out of the nested checks.
struct Mismatch {
  std::string text;
};

template <typename... Args>
[[noreturn]] void differ(fmt::format_string<Args...> text, Args&&... args) {
  throw Mismatch{fmt::format(text, std::forward<Args>(args)...)};
}

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

// Random values that every operator can take: all bytes for 8-bit tensors, [-1, 1) for floats, 0 or
// 1 for the types that serve as indices.
Bytes random_value(const Port& port, std::mt19937_64& random) {
  Bytes value(port.bytes);
  const auto fill = [&]<typename T>(T, auto draw) {
    for (std::size_t i = 0; i + sizeof(T) <= value.size(); i += sizeof(T)) {
      const T element = draw();
      std::memcpy(value.data() + i, &element, sizeof(T));
    }
  };
  switch (port.type) {
    case ElementType::kFloat32:
      fill(0.0F, [&] {
        return static_cast<float>(static_cast<double>(random() >> 11U) * 0x1.0p-52 - 1.0);
      });
      break;
    case ElementType::kInt32:
      fill(std::int32_t{}, [&] { return static_cast<std::int32_t>(random() & 1U); });
      break;
    case ElementType::kInt64:
      fill(std::int64_t{}, [&] { return static_cast<std::int64_t>(random() & 1U); });
      break;
    case ElementType::kInt8:
    case ElementType::kUint8:
      fill(std::uint8_t{}, [&] { return static_cast<std::uint8_t>(random()); });
      break;
    default:
      fill(std::uint8_t{}, [&] { return static_cast<std::uint8_t>(random() & 1U); });
      break;
  }
  return value;
}

class Execution {
 public:
  Execution(const Model& whole, const std::vector<Model>& segments, const Backend& backend,
            VerifyReport& report)
      : whole_(whole),
        segments_(segments),
        backend_(backend),
        report_(report),
        reference_(backend.open(whole.bytes(), whole.name())) {
    for (std::size_t s = 0; s < segments.size(); ++s) {
      try {
        sessions_.push_back(backend.open(segments[s].bytes(), segments[s].name()));
      } catch (const Error& error) {
        differ("segment {} does not load: {}", s, error.what());
      }
    }
  }

  void check(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Bytes> inputs;
    for (const Port& port : reference_->inputs()) inputs.push_back(random_value(port, random));
    const std::vector<Bytes> expected = reference_->run(spans(inputs));
    const Values values = run_chain(inputs);
    for (std::size_t i = 0; i < whole_.outputs().size(); ++i) {
      const std::string& name = whole_.unique_name(whole_.outputs()[i]);
      if (values.at(name) != expected[i]) differ("{}", locate(inputs, values, name));
      report_.output_bytes_compared += expected[i].size();
    }
    ++report_.inputs_run;
  }

 private:
  static std::vector<std::span<const std::byte>> spans(const std::vector<Bytes>& values) {
    return {values.begin(), values.end()};
  }

  Values run_chain(const std::vector<Bytes>& inputs) {
    Values values;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      values[whole_.unique_name(whole_.inputs()[i])] = inputs[i];
    for (std::size_t s = 0; s < sessions_.size(); ++s) {
      std::vector<std::span<const std::byte>> segment_inputs;
      for (const TensorId id : segments_[s].inputs())
        segment_inputs.emplace_back(values.at(segments_[s].unique_name(id)));
      std::vector<Bytes> results;
      try {
        results = sessions_[s]->run(segment_inputs);
      } catch (const Error& error) {
        differ("segment {} does not run: {}", s, error.what());
      }
      for (std::size_t i = 0; i < results.size(); ++i) {
        values[segments_[s].unique_name(segments_[s].outputs()[i])] = std::move(results[i]);
      }
    }
    return values;
  }

  // Runs the whole model with every tensor exposed, to name the first border tensor that differs.
  std::string locate(const std::vector<Bytes>& inputs, const Values& values,
                     const std::string& output) {
    const Model exposed = parse_model(expose_all_tensors(whole_).to_bytes(), whole_.name());
    const auto session = backend_.open(exposed.bytes(), exposed.name());
    const auto truth = session->run(spans(inputs));
    std::unordered_map<std::string, const Bytes*> expected;
    for (std::size_t i = 0; i < truth.size(); ++i)
      expected[exposed.unique_name(exposed.outputs()[i])] = &truth[i];
    for (std::size_t s = 0; s < segments_.size(); ++s) {
      for (const TensorId id : segments_[s].outputs()) {
        const std::string& name = segments_[s].unique_name(id);
        const auto found = expected.find(name);
        if (found != expected.end() && *found->second != values.at(name)) {
          return fmt::format("segment {}: tensor '{}' differs from the whole model at byte {}", s,
                             name, first_difference(*found->second, values.at(name)));
        }
      }
    }
    return fmt::format("model output '{}' differs, though every tensor between segments agrees",
                       output);
  }

  static std::size_t first_difference(const Bytes& a, const Bytes& b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  }

  const Model& whole_;
  const std::vector<Model>& segments_;
  const Backend& backend_;
  VerifyReport& report_;
  std::unique_ptr<Session> reference_;
  std::vector<std::unique_ptr<Session>> sessions_;
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
    Execution execution(whole, segments, backend, report);
    for (std::uint32_t i = 0; i < options.inputs; ++i) execution.check(options.seed + i);
  } catch (const Mismatch& mismatch) {
    report.mismatch = mismatch.text;
  }
  return report;
}

}  // namespace segue
