#include "split/structure.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_set>

#include "segue/error.h"
#include "split/mismatch.h"

namespace segue {
namespace {

// Matches operators of the segments with those of the whole model.
class Structure {
 public:
  Structure(const Model& whole, std::span<const Model> segments, VerifyReport& report)
      : whole_(whole),
        segments_(segments),
        report_(report),
        home_(whole.operators().size(), kNowhere) {}

  Homes match() {
    for (const TensorId input : whole_.inputs()) given_.insert(whole_.unique_name(input));
    for (std::size_t s = 0; s < segments_.size(); ++s) check_segment(s);
    for (std::size_t i = 0; i < home_.size(); ++i) {
      if (home_[i] == kNowhere) differ("{} is not in any segment", whole_.describe(operator_id(i)));
    }
    for (const TensorId output : whole_.outputs()) {
      if (!given_.contains(whole_.unique_name(output)))
        differ("model output '{}' is not written by any segment", whole_.unique_name(output));
    }
    for (std::size_t s = 0; s < segments_.size(); ++s) check_size(s);
    return home_;
  }

 private:
  static constexpr auto kNowhere = static_cast<std::size_t>(-1);

  void check_segment(std::size_t s) {
    const Model& segment = segments_[s];
    for (const TensorId input : segment.inputs()) {
      if (!given_.contains(segment.unique_name(input))) {
        differ("segment {} reads '{}', which no earlier segment writes", s,
               segment.unique_name(input));
      }
    }
    for (std::size_t i = 0; i < segment.operators().size(); ++i) check_operator(s, operator_id(i));
    for (const TensorId output : segment.outputs()) given_.insert(segment.unique_name(output));
    // Drops pages, so that memory holds the weights of only one segment and of their counterparts.
    segment.drop_pages();
    whole_.drop_pages();
  }

  // Finds an operator of the whole model by the first tensor that it writes, or by the tensors that
  // it reads if it writes none.
  [[nodiscard]] std::optional<OperatorId> counterpart(const Model& segment,
                                                      const Operator& op) const {
    if (!op.outputs.empty()) {
      const auto tensor = whole_.find_tensor(segment.unique_name(tensor_id(op.outputs[0])));
      return tensor ? whole_.producer(*tensor) : std::nullopt;
    }
    for (std::size_t i = 0; i < home_.size(); ++i) {
      const Operator& candidate = whole_.operators()[i];
      if (home_[i] == kNowhere && candidate.outputs.empty() && candidate.code == op.code &&
          candidate.name == op.name && names(whole_, candidate) == names(segment, op))
        return operator_id(i);
    }
    return std::nullopt;
  }

  static std::vector<std::string> names(const Model& model, const Operator& op) {
    std::vector<std::string> result;
    for (const std::int32_t tensor : op.inputs)
      result.push_back(tensor < 0 ? "" : model.unique_name(tensor_id(tensor)));
    return result;
  }

  void check_operator(std::size_t s, OperatorId id) {
    const Model& segment = segments_[s];
    const Operator& op = segment.op(id);
    const std::string label = fmt::format("segment {}: {}", s, segment.describe(id));
    const auto match = counterpart(segment, op);
    if (!match) differ("{} is not in the whole model", label);
    if (home_[index(*match)] != kNowhere) {
      differ("{} is already in segment {}", label, home_[index(*match)]);
    }
    home_[index(*match)] = s;
    if (!same_operation(whole_, *match, segment, id))
      differ("{} has different options than in the whole model", label);
    check_tensors(label, segment, op.inputs, whole_.op(*match).inputs);
    check_tensors(label, segment, op.outputs, whole_.op(*match).outputs);
    check_tensors(label, segment, op.intermediates, whole_.op(*match).intermediates);
    ++report_.operator_count;
  }

  // Content that nothing in the file refers to passes the checks above, but makes the file larger.
  void check_size(std::size_t s) const {
    std::uint64_t needed = 0;
    try {
      needed = extract_segment(whole_, operators_of(home_, s)).size_bytes();
    } catch (const Error& error) {
      differ("segment {} cannot be extracted from the whole model: {}", s, error.what());
    }
    const std::uint64_t found = segments_[s].bytes().size();
    if (found > needed) {
      differ(
          "segment {}: the file has {} bytes, but its content needs only {}; split the model again",
          s, found, needed);
    }
  }

  void check_tensors(const std::string& label, const Model& segment,
                     std::span<const std::int32_t> in_segment,
                     std::span<const std::int32_t> in_whole) {
    if (in_segment.size() != in_whole.size()) {
      differ("{} has {} tensors, but {} in the whole model", label, in_segment.size(),
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
    if (!has_equal_data(segment, a, b)) differ("{}: the constant '{}' differs", label, name);
    report_.parameter_bytes += a.data.size();
  }

  // Compares large constants in parts, so that memory holds only a part of both.
  [[nodiscard]] bool has_equal_data(const Model& segment, const Tensor& a, const Tensor& b) const {
    constexpr std::size_t kPart = std::size_t{8} << 20U;
    if (a.data.size() != b.data.size()) return false;
    for (std::size_t begin = 0; begin < a.data.size(); begin += kPart) {
      const std::size_t size = std::min(kPart, a.data.size() - begin);
      if (!std::ranges::equal(a.data.subspan(begin, size), b.data.subspan(begin, size)))
        return false;
      if (size < kPart) break;
      segment.drop_pages();
      whole_.drop_pages();
    }
    return true;
  }

  const Model& whole_;
  std::span<const Model> segments_;
  VerifyReport& report_;
  Homes home_;
  std::unordered_set<std::string> given_;  // the inputs, and outputs of segments so far
};

}  // namespace

std::vector<OperatorId> operators_of(const Homes& homes, std::size_t segment) {
  std::vector<OperatorId> result;
  for (std::size_t i = 0; i < homes.size(); ++i) {
    if (homes[i] == segment) result.push_back(operator_id(i));
  }
  return result;
}

Homes match_operators(const Model& whole, std::span<const Model> segments, VerifyReport& report) {
  return Structure(whole, segments, report).match();
}

}  // namespace segue
