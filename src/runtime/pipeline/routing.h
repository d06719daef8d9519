// Which tensors each stage reads and writes, as slots of an item that travels through the pipeline.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "segue/runtime.h"
#include "segue/pipeline.h"

namespace segue::pipeline {

struct StageRoute {
  std::vector<std::size_t> reads;   // slots, in the order of the session's inputs
  std::vector<std::size_t> writes;  // in the order of its outputs
  std::vector<std::size_t> frees;   // read here for the last time
  std::vector<Port> output_ports;
  std::vector<bool> leaves;  // of each output: the pipeline's, named once, and read by no stage
};

struct Routing {
  std::vector<StageRoute> stages;
  std::vector<std::size_t> inputs;  // slots
  std::vector<std::size_t> outputs;
  std::vector<Port> input_ports;
  std::vector<Port> output_ports;
  std::size_t slots = 0;
};

// `sessions`: one per segment. Throws Error(kInvalidArgument) where a segment reads what none
// before it writes and no input is, two write the same tensor, or sizes differ.
[[nodiscard]] Routing make_routing(const PipelineLayout& layout,
                                   const std::vector<std::shared_ptr<Session>>& sessions);

}  // namespace segue::pipeline
