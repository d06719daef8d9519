// Fuzzes the reader of models and everything that inspects a model without running it.
#include "segue/model.h"

#include "segue/cost.h"
#include "segue/graph.h"
#include "segue/report.h"
#include "segue/segmentation.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] {
    const Model model = parse_model(fuzz::bytes_of(data, size), "model");
    const Graph graph(model);
    (void)inspect_json(graph, {});
    const DeviceSpec& device = find_device("edgetpu-pcie");
    const auto compiler = make_simulated_compiler(device);
    const auto all = graph.operators_between(1, graph.depth());
    fuzz::require(all.size() == graph.operator_count(), "every operator has a depth");
    const MemoryReport memory = compiler->compile(graph, all);
    fuzz::require(simulate_segment(graph, all, memory, device).total() >= Nanoseconds(0),
                  "times are not negative");
    const auto cuts = segment_balanced(graph, std::min(2U, graph.depth()), *compiler).segmentation;
    check_segmentation(graph, cuts);
  });
  return 0;
}
