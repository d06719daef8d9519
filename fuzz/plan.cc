// Fuzzes the readers of plan.json and set.json. What was read must be equal after it is written and
// read again.
#include "segue/plan.h"

#include "segue/plan_set.h"
#include "segue/timeline.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] {
    const Plan plan = parse_plan(fuzz::text_of(data, size), "plan.json");
    const std::string text = to_json(plan);
    fuzz::require(to_json(parse_plan(text, "plan.json")) == text,
                  "a plan is read as it was written");
    const auto pools = open_devices(plan.devices, plan.device_count());
    check_plan_consistent(plan, pools);
    (void)timeline_options(plan, pools);
  });
  fuzz::answers([&] {
    const std::string text = to_json(parse_set(fuzz::text_of(data, size), "set.json"));
    fuzz::require(to_json(parse_set(text, "set.json")) == text, "a set is read as it was written");
  });
  return 0;
}
