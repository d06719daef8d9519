// Fuzzes the reader of plan.json. A plan that was read must be equal after it is written and read
// again.
#include "segue/plan.h"

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] {
    const Plan plan = parse_plan(fuzz::text_of(data, size), "plan.json");
    const std::string text = to_json(plan);
    fuzz::require(to_json(parse_plan(text, "plan.json")) == text,
                  "a plan is read as it was written");
    check_plan_consistent(plan, open_devices(plan.devices, plan.device_count()));
  });
  return 0;
}
