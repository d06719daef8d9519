// The program of the README, as a stranger would type it; run by a test in an empty folder that
// holds model.tflite.
#include <segue/cost.h>
#include <segue/segmentation.h>
#include <segue/verify.h>

int main() {
  const segue::Model model = segue::read_model("model.tflite");
  const segue::Graph graph(model);
  const segue::DeviceSpec& device = segue::find_device("edgetpu-pcie");
  const auto compiler = segue::make_simulated_compiler(device);
  const auto balanced = segue::segment_balanced(graph, 6, *compiler);
  const segue::Plan plan =
      segue::make_plan(graph, balanced.segmentation, *compiler, device, segue::Strategy::kBalanced);
  segue::write_segments(model, plan, "parts");
}
