// A program of a user who has Segue installed. It plans a network and cuts the plan's first
// segment.
#include <segue/error.h>
#include <segue/planner.h>
#include <segue/units.h>
#include <segue/version.h>
#include <segue/zoo.h>

#include <cstdio>

int main() {
  const segue::Model model = segue::open_model("zoo:conv5-f512");
  const segue::Graph graph(model);
  const auto devices = segue::open_devices("edgetpu-pcie", 2);
  const segue::Plan plan = segue::plan_by_strategy(graph, devices, segue::Strategy::kBalanced).plan;
  const segue::ModelImage first = segue::extract_segment(model, plan.stages[0].operators);
  std::printf("segue %s: %zu stages, first segment %.2f MiB\n", segue::kVersion, plan.stages.size(),
              segue::to_mib(first.size_bytes()));
  try {
    (void)segue::find_device("nothing");
  } catch (const segue::Error& error) {  // thrown inside the library
    return error.code() == segue::ErrorCode::kInvalidArgument ? 0 : 1;
  }
  return 1;
}
