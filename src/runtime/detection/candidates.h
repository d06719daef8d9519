// Boxes with scores in the outputs of a detector.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/detection/family.h"
#include "runtime/detection/suppression.h"

namespace segue::detection {

// Boxes in the unit in which the reference implementation of their family compares them: pixels of
// the input for YOLO, the whole input for others. Overlaps are thus rounded in the same way.
struct Candidates {
  std::vector<Candidate> boxes;
  float unit_width = 1;  // pixels of the input
  float unit_height = 1;
};

// The numbers of boxes and scores in the outputs.
struct OutputSizes {
  std::size_t boxes = 0;
  std::size_t scores = 0;
};
[[nodiscard]] OutputSizes sizes_of(const PostProcessedOutputs& outputs, const Head& head);
[[nodiscard]] OutputSizes sizes_of(const YoloOutput& outputs, const Head& head);
[[nodiscard]] OutputSizes sizes_of(const AnchoredOutputs& outputs, const Head& head);

// Returns the boxes whose score passes the threshold, in the order of the outputs. Boxes that are
// not finite or have a negative size are left out. `values` has one entry of the right size per
// output.
[[nodiscard]] Candidates find_candidates(const Head& head, const Meaning& meaning,
                                         float score_threshold,
                                         std::span<const std::span<const std::byte>> values);

}  // namespace segue::detection
