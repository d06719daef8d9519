// `segue run --detect`: pictures in, boxes out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/input_files.h"
#include "cli/run_source.h"
#include "segue/detection.h"
#include "segue/report.h"

namespace segue::cli {

void add_detection(CLI::App& command, RunOptions& options);
// Throws Error(kInvalidArgument) where options of detection do not go together with others.
void check_detection(const CLI::App& command, const RunOptions& options);

// The detections of a run. One thread calls `prepare`, another `take` for an input that `prepare`
// returned before.
class DetectionRun {
 public:
  // Adds decoding to the layout. Throws as Detector.
  DetectionRun(const RunOptions& options, PipelineLayout& layout);

  // The same for a new plan.
  [[nodiscard]] PipelineLayout with_stage(PipelineLayout layout) const {
    return with_detector(std::move(layout), detector_);
  }
  // The input for a picture. `number` counts from 0.
  [[nodiscard]] std::vector<TensorBytes> prepare(const std::string& file, std::uint64_t number);
  // The boxes of a result. Draws them if asked for.
  [[nodiscard]] DetectedInput take(const std::string& file, const PipelineResult& result);

 private:
  const RunOptions& options_;
  std::shared_ptr<const Detector> detector_;
  std::vector<std::string> labels_;
  std::vector<PicturePlacement> placements_;  // per input file
};

}  // namespace segue::cli
