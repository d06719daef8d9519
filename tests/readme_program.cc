// The program of the README. A test runs it in a folder that contains only model.tflite.
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
