// `segue run --detect`: finds objects in pictures.
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
// Throws Error(kInvalidArgument) if options of detection conflict with other options.
void check_detection(const CLI::App& command, const RunOptions& options);

// The detections of a run. One thread calls `prepare`. Another thread calls `take` for inputs that
// `prepare` has returned.
class DetectionRun {
 public:
  // Adds the decoder to the layout. Throws the same errors as Detector.
  DetectionRun(const RunOptions& options, PipelineLayout& layout);

  // Adds the same decoder to the layout of a new plan.
  [[nodiscard]] PipelineLayout with_stage(PipelineLayout layout) const {
    return with_detector(std::move(layout), detector_);
  }
  // Returns the input for a picture. `number` counts from 0.
  [[nodiscard]] std::vector<TensorBytes> prepare(const std::string& file, std::uint64_t number);
  // Returns the boxes of a result. Draws them if --draw was given.
  [[nodiscard]] DetectedInput take(const std::string& file, const PipelineResult& result);

 private:
  const RunOptions& options_;
  std::shared_ptr<const Detector> detector_;
  std::vector<std::string> labels_;
  std::vector<PicturePlacement> placements_;  // per input file
};

}  // namespace segue::cli
