#include "runtime/detection/suppression.h"

#include <algorithm>

namespace segue::detection {
namespace {

float area(const Candidate& box) { return (box.right - box.left) * (box.bottom - box.top); }

float intersection_over_union(const Candidate& a, const Candidate& b) {
  const float area_a = area(a);
  const float area_b = area(b);
  if (area_a <= 0 || area_b <= 0) return 0;
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float intersection = std::max(width, 0.0F) * std::max(height, 0.0F);
  return intersection / (area_a + area_b - intersection);
}

}  // namespace

std::vector<Candidate> suppress(std::vector<Candidate> candidates, float iou_threshold,
                                std::size_t most) {
  std::ranges::stable_sort(candidates, std::greater<>{}, &Candidate::score);
  if (candidates.size() > kMostCandidates) candidates.resize(kMostCandidates);
  std::vector<Candidate> kept;
  for (const Candidate& candidate : candidates) {
    if (kept.size() == most) break;
    const bool is_covered = std::ranges::any_of(kept, [&](const Candidate& better) {
      return better.class_id == candidate.class_id &&
             intersection_over_union(better, candidate) > iou_threshold;
    });
    if (!is_covered) kept.push_back(candidate);
  }
  return kept;
}

}  // namespace segue::detection
