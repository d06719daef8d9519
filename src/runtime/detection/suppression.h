// Non-maximum suppression: keeps only the box with the highest score of overlapping boxes of one
// class.
#pragma once

#include <cstdint>
#include <vector>

namespace segue::detection {

struct Candidate {
  float left = 0;
  float top = 0;
  float right = 0;
  float bottom = 0;
  float score = 0;
  std::uint32_t class_id = 0;
};

// Only this number of candidates, those with the highest scores, is considered, as in ultralytics.
inline constexpr std::size_t kMostCandidates = 30'000;

// Returns the boxes that remain, in descending order of score; equal scores keep their order. A box
// is removed if its intersection over union with a box of the same class that remains is above
// `iou_threshold`. O(k log k + k * most).
[[nodiscard]] std::vector<Candidate> suppress(std::vector<Candidate> candidates,
                                              float iou_threshold, std::size_t most);

}  // namespace segue::detection
