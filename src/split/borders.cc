#include "split/borders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "segue/error.h"

namespace segue {
namespace {

// A tensor that is available when a segment runs, and the segment that first read or wrote it.
struct Known {
  std::size_t segment = 0;
  const Tensor* tensor = nullptr;
  bool is_input = false;  // of the pipeline
};

std::string quantization_text(const Tensor& tensor) {
  const Quantization& q = tensor.quantization;
  if (q.scales.empty()) return "no scale";
  if (q.scales.size() > 1) return fmt::format("{} scales", q.scales.size());
  return fmt::format("scale {} and zero point {}", q.scales[0],
                     q.zero_points.empty() ? 0 : q.zero_points[0]);
}

std::string shape_text(const Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.shape, ", "));
}

// Describes the difference, with `there` first. Empty if there is none.
std::string difference(const Tensor& there, const Tensor& here) {
  if (there.type != here.type)
    return fmt::format("{}, here {}", to_string(there.type), to_string(here.type));
  if (!std::ranges::equal(there.shape, here.shape))
    return fmt::format("{}, here {}", shape_text(there), shape_text(here));
  const Quantization& a = there.quantization;
  const Quantization& b = here.quantization;
  if (std::ranges::equal(a.scales, b.scales) && std::ranges::equal(a.zero_points, b.zero_points))
    return {};
  return fmt::format("{}, here {}", quantization_text(there), quantization_text(here));
}

class Borders {
 public:
  Borders(std::span<const Model> segments, std::span<const std::filesystem::path> files)
      : segments_(segments), files_(files) {}

  void check(bool has_late_inputs) {
    for (std::size_t s = 0; s < segments_.size(); ++s) {
      for (const TensorId id : segments_[s].inputs())
        read(s, segments_[s].tensor(id), s == 0 || has_late_inputs);
      for (const TensorId id : segments_[s].outputs()) write(s, segments_[s].tensor(id));
    }
  }

 private:
  [[noreturn]] void fail(std::size_t segment, const std::string& reason) const {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}", files_[segment].string(), reason));
  }
  [[nodiscard]] std::string file(std::size_t segment) const {
    return files_[segment].filename().string();
  }

  void read(std::size_t segment, const Tensor& tensor, bool may_be_input) {
    const auto found = known_.find(tensor.name);
    if (found == known_.end()) {
      if (!may_be_input) fail_unknown(segment, tensor);
      known_[tensor.name] = {segment, &tensor, true};
      return;
    }
    const std::string differs = difference(*found->second.tensor, tensor);
    if (differs.empty()) return;
    fail(segment, fmt::format("reads '{}', which {} {} with different properties: there {}; the "
                              "files belong to different splits",
                              tensor.name, file(found->second.segment),
                              found->second.is_input ? "reads" : "writes", differs));
  }

  [[noreturn]] void fail_unknown(std::size_t segment, const Tensor& tensor) const {
    for (std::size_t later = segment; later < segments_.size(); ++later) {
      for (const TensorId id : segments_[later].outputs()) {
        if (segments_[later].tensor(id).name != tensor.name) continue;
        fail(segment, fmt::format("reads '{}', which only {} writes: the file names are not in the "
                                  "order of the segments; rename the files",
                                  tensor.name, file(later)));
      }
    }
    fail(segment, fmt::format("reads '{}', which no earlier segment writes and which is not an "
                              "input of {}; the files belong to different splits (or it is an "
                              "input of the model, and the folder needs its plan.json)",
                              tensor.name, file(0)));
  }

  void write(std::size_t segment, const Tensor& tensor) {
    const auto [at, is_new] = known_.try_emplace(tensor.name, Known{segment, &tensor, false});
    if (is_new) return;
    fail(segment,
         fmt::format("writes '{}', which {} {}; the files belong to different splits", tensor.name,
                     file(at->second.segment), at->second.is_input ? "reads" : "also writes"));
  }

  std::span<const Model> segments_;
  std::span<const std::filesystem::path> files_;
  std::unordered_map<std::string_view, Known> known_;
};

}  // namespace

void check_borders(std::span<const Model> segments, std::span<const std::filesystem::path> files,
                   bool has_late_inputs) {
  Borders(segments, files).check(has_late_inputs);
}

}  // namespace segue
