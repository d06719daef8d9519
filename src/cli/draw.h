// Draws boxes into a picture.
#pragma once

#include <filesystem>

#include "segue/detection.h"
#include "segue/report.h"

namespace segue::cli {

// Draws each box with its label and score, the box with the highest score on top, and writes a PNG
// file. Throws Error(kIo).
void draw_detections(const std::filesystem::path& path, Picture picture,
                     const DetectedInput& detected);

}  // namespace segue::cli
