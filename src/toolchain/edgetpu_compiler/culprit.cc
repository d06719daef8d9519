#include <algorithm>

#include "segue/error.h"
#include "segue/toolchain.h"

namespace segue {
namespace {

// Compiles ranges of operators [begin, end) in file order.
class Trial {
 public:
  Trial(const Model& model, const std::filesystem::path& folder,
        const EdgeTpuCompilerOptions& options)
      : model_(model), folder_(folder), options_(options) {}

  // Whether the range fails in the same way as the first range that failed.
  [[nodiscard]] bool fails(std::size_t begin, std::size_t end) {
    std::vector<OperatorId> operators;
    for (std::size_t i = begin; i < end; ++i) operators.push_back(operator_id(i));
    const auto compilation = compile(operators);
    if (!compilation || compilation->succeeded()) return false;
    if (failure_ && failure_->kind != compilation->failure->kind) return false;
    failure_ = compilation->failure;
    return true;
  }

  [[nodiscard]] const CompilerFailure& failure() const { return *failure_; }
  [[nodiscard]] std::uint32_t compilations() const { return compilations_; }

 private:
  // Returns nothing for a range that cannot be a segment, because it shares a variable with other
  // operators.
  std::optional<Compilation> compile(const std::vector<OperatorId>& operators) {
    try {
      const ModelImage image = extract_segment(model_, operators);
      ++compilations_;
      return compile_for_edgetpu(image.pieces(), "part", folder_, options_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      return std::nullopt;
    }
  }

  const Model& model_;
  const std::filesystem::path& folder_;
  const EdgeTpuCompilerOptions& options_;
  std::optional<CompilerFailure> failure_;
  std::uint32_t compilations_ = 0;
};

}  // namespace

std::optional<Culprit> find_culprit(const Model& model, const std::filesystem::path& folder,
                                    const EdgeTpuCompilerOptions& options) {
  Trial trial(model, folder, options);
  const std::size_t count = model.operators().size();
  if (count == 0 || !trial.fails(0, count)) return std::nullopt;
  // The range [0, end) fails, and [0, passes) does not.
  std::size_t passes = 0;
  std::size_t end = count;
  while (passes + 1 < end) {
    const std::size_t middle = passes + (end - passes) / 2;
    (trial.fails(0, middle) ? end : passes) = middle;
  }
  // The range [begin, end) fails, and [too_late, end) does not.
  std::size_t begin = 0;
  std::size_t too_late = end;
  // In most cases, the last operator alone is the cause.
  if (end > 1 && trial.fails(end - 1, end)) begin = end - 1;
  while (begin + 1 < too_late) {
    const std::size_t middle = begin + (too_late - begin) / 2;
    (trial.fails(middle, end) ? begin : too_late) = middle;
  }
  Culprit culprit;
  culprit.failure = trial.failure();
  for (std::size_t i = begin; i < end; ++i) culprit.operators.push_back(operator_id(i));
  if (end - begin == 1) {
    const auto other = std::ranges::find_if(model.operators(), [&](const Operator& op) {
      return op.name != model.operators()[begin].name;
    });
    const auto at = static_cast<std::size_t>(other - model.operators().begin());
    culprit.whatever_fails = at < count && trial.fails(at, at + 1);
  }
  culprit.compilations = trial.compilations();
  return culprit;
}

}  // namespace segue
