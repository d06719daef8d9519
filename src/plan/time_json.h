// The times of a stage as every JSON document has them.
#pragma once

#include "json/node.h"
#include "segue/simulator.h"

namespace segue {

[[nodiscard]] inline json::Json time_json(const SegmentTime& time) {
  return {{"compute", time.compute.count()}, {"input", time.input.count()},
          {"output", time.output.count()},   {"streaming", time.streaming.count()},
          {"fixed", time.fixed.count()},     {"host", time.host.count()},
          {"total", time.total().count()}};
}

}  // namespace segue
