// Makes a small model with a skip, and writes its segments.
#pragma once

#include <filesystem>

#include "model_builder.h"
#include "segue/plan.h"
#include "segue/verify.h"

namespace segue::testing {

// Makes x -> a -> b -> y with a skip: the last operator also reads a.
inline ModelBuilder skipping() {
  ModelBuilder b;
  const auto a = b.conv(b.input("x", {1, 4, 4, 4}), "a", 4);
  b.output(b.add(b.conv(b.conv(a, "b", 4), "c", 4), a, "y"));
  return b;
}

inline Plan plan_for(const Model& model, const Segmentation& segmentation) {
  const Graph graph(model);
  Plan plan = make_plan(graph, segmentation, *make_simulated_compiler(find_device("edgetpu-pcie")),
                        find_device("edgetpu-pcie"), Strategy::kManual);
  identify_model(plan, model);
  return plan;
}

inline void split(const Model& model, const Segmentation& segmentation,
                  const std::filesystem::path& folder) {
  write_segments(model, segmentation, to_json(plan_for(model, segmentation)), folder);
}

}  // namespace segue::testing
