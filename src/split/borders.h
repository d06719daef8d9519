// Whether segments follow each other: what one reads, those before it give.
#pragma once

#include <filesystem>
#include <span>

#include "segue/model.h"

namespace segue {

// Each tensor that a segment reads must be an output of an earlier one, or an input of the first
// one, with the same type, shape and quantization, and no two may write the same. With
// `has_late_inputs` a later segment may read an input of the pipeline that the first one does not.
// Throws Error(kInvalidArgument) naming files and tensor. `files`: of the segments, for messages.
void check_borders(std::span<const Model> segments, std::span<const std::filesystem::path> files,
                   bool has_late_inputs);

}  // namespace segue
