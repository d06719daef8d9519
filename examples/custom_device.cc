// Describes a device in a file by its differences from a known one, and shows the effect of a slow
// link.
//   custom_device slow_lane.json
#include <segue/device.h>
#include <segue/error.h>
#include <segue/planner.h>
#include <segue/zoo.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: custom_device FILE.json\n", stderr);
    return 2;
  }
  try {
    const segue::Model model = segue::open_model("zoo:resnet50");
    const segue::Graph graph(model);
    for (const segue::DeviceSpec& device :
         {segue::find_device("edgetpu-pcie"), segue::read_device(argv[1])}) {
      std::printf("%-12s %4.0f MB/s:", device.name.c_str(),
                  device.timing.link_bytes_per_s.value / 1e6);
      for (std::uint32_t count = 1; count <= 4; ++count) {
        const segue::DevicePool tpus{device, count};
        const auto plan =
            segue::plan_by_strategy(graph, {&tpus, 1}, segue::Strategy::kOptimal).plan;
        std::printf("  %u TPU%s %6.1f/s", count, count == 1 ? "" : "s",
                    plan.predicted.throughput_per_s);
      }
      std::printf("  (simulated)\n");
    }
  } catch (const segue::Error& error) {
    std::fprintf(stderr, "custom_device: %s\n", error.what());
    return 1;
  }
}
