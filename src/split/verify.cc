#include "segue/verify.h"

#include <fmt/format.h>

#include "segue/error.h"
#include "split/execution.h"
#include "split/mismatch.h"
#include "split/plan_check.h"
#include "split/structure.h"

namespace segue {
namespace {

Model read_segment(const std::filesystem::path& file) {
  try {
    return read_model(file);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidModel) throw;
    throw Error(error.code(),
                fmt::format("{} (this file is a segment: split the model again)", error.what()));
  }
}

}  // namespace

VerifyReport verify_segments(const Model& whole, std::span<const std::filesystem::path> files,
                             const Backend& backend, const VerifyOptions& options) {
  std::vector<Model> segments;
  for (const auto& file : files) segments.push_back(read_segment(file));
  VerifyReport report;
  report.segment_count = segments.size();
  try {
    // This check is first, because all others would fail too.
    if (options.plan && options.plan->model.sha256 != sha256(whole.bytes()))
      differ("plan.json belongs to another model ('{}')", options.plan->model.name);
    whole.drop_pages();
    const Homes homes = match_operators(whole, segments, report);
    if (options.plan) check_plan(*options.plan, whole, segments, homes);
    check_execution(whole, segments, backend, options, report);
  } catch (const Mismatch& mismatch) {
    report.mismatch = mismatch.text;
  }
  return report;
}

}  // namespace segue
