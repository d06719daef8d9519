// Checks that segments fit together: the tensors that a segment reads are outputs of earlier ones.
#pragma once

#include <filesystem>
#include <span>

#include "segue/model.h"

namespace segue {

// Each tensor that a segment reads must be an output of an earlier segment, or an input of the
// first one, with the same type, shape and quantization. No two segments may write the same tensor.
// With `has_late_inputs`, a later segment may read an input of the pipeline that the first segment
// does not read. Throws Error(kInvalidArgument) that names the files and the tensor. `files`: the
// files of the segments, for messages.
void check_borders(std::span<const Model> segments, std::span<const std::filesystem::path> files,
                   bool has_late_inputs);

}  // namespace segue
