// The segments and the devices of `segue run`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/compiler_options.h"
#include "segue/model.h"
#include "segue/pipeline.h"
#include "segue/plan.h"

namespace segue::cli {

struct RunOptions {
  std::string source;  // folder of segments, or plan.json
  std::string set;     // set.json
  std::string model;   // of a plan.json
  std::string signature;
  std::string backend = "cpu";
  std::string kernels = "builtin";
  std::vector<std::string> files;  // FILE or NAME=FILE
  std::uint64_t inputs = 100;
  std::uint64_t seed = 1;
  int threads = 1;
  double time_scale = 1;
  double watchdog_s = 30;
  std::uint32_t queue = 2;
  std::string runtime;
  std::string edgetpu_library;
  std::string device;                         // of a plan read from a file
  std::vector<std::string> devices;           // to use
  std::vector<std::string> edgetpu_settings;  // NAME=VALUE
  CompilerOptions compiler;
  std::string labels;
  bool detects = false;
  float score = 0.25F;  // of detections
  std::string family;   // of the detector; empty: recognised
  std::string picture;  // to draw detections into
  std::string trace;
  std::string output;  // folder for results
  FormatOptions format;
};

// The layout to run, with its plan and model if they are known.
struct RunSource {
  std::string name;
  PipelineLayout layout;
  std::optional<Plan> plan;
  std::shared_ptr<const Model> model;
};

// Throws Error(kInvalidArgument) if the folder, the plan and the model do not match.
[[nodiscard]] RunSource open_source(const RunOptions& options);

// Cuts a model. For the Edge TPU, Google's compiler then compiles the segments.
[[nodiscard]] PipelineLayout layout_of(const RunOptions& options, const Model& model,
                                       const Plan& plan);

// Scales the time limit of a simulated device with its time scale.
[[nodiscard]] Nanoseconds watchdog_of(const RunOptions& options);

// Opens a number of devices without a plan. Throws Error(kDevice) if there are too few.
[[nodiscard]] std::vector<PipelineDevice> open_counted_backends(const RunOptions& options,
                                                                std::uint32_t count);

// Makes the folder for results, and prints a note on what it replaces.
void make_output_folder(const std::string& folder);

// Throws Error(kDevice) if there are too few devices.
[[nodiscard]] std::vector<PipelineDevice> open_backends(const RunOptions& options,
                                                        const RunSource& source);

// If the model is known, the options compute a new plan for the remaining devices after a loss. The
// run options must outlive the pipeline.
[[nodiscard]] PipelineOptions pipeline_options(const RunOptions& options, const RunSource& source);

}  // namespace segue::cli
