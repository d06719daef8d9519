// The tensors that each stage reads and writes, as slots of an item.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "segue/pipeline.h"
#include "segue/runtime.h"

namespace segue::pipeline {

struct StageRoute {
  std::vector<std::size_t> reads;   // slots, in the order of the session's inputs
  std::vector<std::size_t> writes;  // slots, in the order of the session's outputs
  std::vector<std::size_t> frees;   // slots whose last reader is this stage
  std::vector<Port> output_ports;
  std::vector<bool>
      leaves;  // per output: it is a pipeline output, named once, and no stage reads it
};

struct Routing {
  std::vector<StageRoute> stages;
  std::vector<std::size_t> inputs;  // slots of the pipeline's inputs
  std::vector<std::size_t> outputs;
  std::vector<Port> input_ports;
  std::vector<Port> output_ports;
  std::size_t slots = 0;
};

// `sessions` has one session per segment. Throws Error(kInvalidArgument) when a segment reads a
// tensor that is neither an input nor written by an earlier segment, when two segments write the
// same tensor, or when sizes differ.
[[nodiscard]] Routing make_routing(const PipelineLayout& layout,
                                   const std::vector<std::shared_ptr<Session>>& sessions);

}  // namespace segue::pipeline
