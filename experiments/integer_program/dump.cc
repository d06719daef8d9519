// What the integer program needs to know of a model, as JSON; or the true times of segmentations.
//
//   dump MODEL DEVICE           operators, tensors and constants of the device
//   dump MODEL DEVICE evaluate  per line of input (the stage of each operator, separated by blanks)
//                               a line with the time in ns of each stage, 0 for empty stages
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "device/edgetpu/caching.h"
#include "device/edgetpu/internal/segment_sum.h"
#include "segue/cost.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/zoo.h"

namespace {

using namespace segue;

void print_operators(const Graph& graph, const DeviceSpec& device) {
  const Model& model = graph.model();
  std::vector<CachingCandidate> order;
  fmt::print("\"operators\": [\n");
  for (std::size_t i = 0; i < graph.operator_count(); ++i) {
    const OperatorId id = operator_id(i);
    const OperatorWork work = operator_work(model, id, device);
    const ReservedRows rows = reserved_rows(model, id, device);
    const auto candidate = caching_candidate(model, id, device);
    if (candidate) order.push_back(*candidate);
    fmt::print(
        " {{\"cycles\": {}, \"crossings\": {}, \"instruction_bytes\": {}, "
        "\"parameter_bytes\": {}, \"rows_inside\": {}, \"rows_at_input\": {}}}{}\n",
        work.cycles, work.crossings, work.instruction_bytes,
        parameter_footprint(model, id, device).bytes, rows.inside, rows.at_input,
        i + 1 < graph.operator_count() ? "," : "");
  }
  std::ranges::sort(order, is_cached_before);
  std::vector<std::size_t> places;
  for (const CachingCandidate& candidate : order) places.push_back(index(candidate.op));
  fmt::print("],\n\"caching_order\": [{}],\n", fmt::join(places, ", "));
}

std::vector<std::size_t> readers_of(const Model& model, std::size_t tensor) {
  std::vector<std::size_t> readers;
  for (std::size_t i = 0; i < model.operators().size(); ++i) {
    if (std::ranges::count(model.operators()[i].inputs, static_cast<std::int32_t>(tensor)) > 0)
      readers.push_back(i);
  }
  return readers;
}

// Tensors that are computed or given by the caller. Writer -1: given.
void print_tensors(const Model& model, const DeviceSpec& device) {
  fmt::print("\"tensors\": [");
  const char* separator = "\n";
  for (std::size_t t = 0; t < model.tensors().size(); ++t) {
    const Tensor& tensor = model.tensors()[t];
    const auto readers = readers_of(model, t);
    const auto writer = model.producer(tensor_id(t));
    const bool is_output = std::ranges::count(model.outputs(), tensor_id(t)) > 0;
    if (tensor.is_constant() || tensor.is_variable) continue;
    if (readers.empty() && !is_output) continue;
    fmt::print(
        "{} {{\"writer\": {}, \"readers\": [{}], \"bytes\": {}, \"sent_bytes\": {}, "
        "\"is_output\": {}}}",
        separator, writer ? static_cast<long>(index(*writer)) : -1L, fmt::join(readers, ", "),
        tensor.bytes, sent_bytes(tensor, device), is_output);
    separator = ",\n";
  }
  fmt::print("\n],\n");
}

void print_device(const DeviceSpec& device) {
  const Timing& t = device.timing;
  fmt::print(
      "\"device\": {{\"capacity_bytes\": {:.17g}, \"row_bytes\": {:.17g}, \"least_rows\": {:.17g}, "
      "\"clock_hz\": {:.17g}, \"link_bytes_per_s\": {:.17g}, \"instruction_share\": {:.17g}, "
      "\"segment_instruction_bytes\": {}, \"invoke_ns\": {:.17g}, \"input_ns_per_byte\": {:.17g}, "
      "\"output_ns_per_byte\": {:.17g}, \"host_slowdown\": {:.17g}}}\n",
      device.memory.capacity_bytes.value, device.memory.reserved_row_bytes.value,
      device.memory.least_reserved_rows.value, t.clock_hz.value, t.link_bytes_per_s.value,
      t.instruction_share.value, kSegmentInstructionBytes, t.invoke_ns.value,
      t.input_ns_per_byte.value, t.output_ns_per_byte.value, t.host_slowdown.value);
}

void evaluate(const Graph& graph, const DeviceSpec& device) {
  const auto compiler = make_simulated_compiler(device);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::vector<std::vector<OperatorId>> stages;
    std::size_t stage = 0;
    for (std::size_t i = 0; words >> stage; ++i) {
      if (stage >= stages.size()) stages.resize(stage + 1);
      stages[stage].push_back(operator_id(i));
    }
    std::vector<std::int64_t> times;
    for (const auto& operators : stages) {
      times.push_back(
          operators.empty()
              ? 0
              : simulate_segment(graph, operators, compiler->compile(graph, operators), device)
                    .total()
                    .count());
    }
    fmt::print("{}\n", fmt::join(times, " "));
  }
}

int run(const std::string& name, const DeviceSpec& device, bool only_evaluate) {
  const Model model = open_model(name);
  const Graph graph(model);
  std::vector<OperatorId> all;
  for (std::size_t i = 0; i < graph.operator_count(); ++i) all.push_back(operator_id(i));
  if (!operators_on_host(graph, all).empty()) {
    fmt::print(stderr, "{}: some operators run on the host; the program does not cover that\n",
               name);
    return 1;
  }
  if (only_evaluate) {
    evaluate(graph, device);
    return 0;
  }
  fmt::print("{{\n");
  print_operators(graph, device);
  print_tensors(model, device);
  print_device(device);
  fmt::print("}}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3 || argc > 4 || (argc == 4 && std::strcmp(argv[3], "evaluate") != 0)) {
    fmt::print(stderr, "usage: dump MODEL DEVICE [evaluate]\n");
    return 2;
  }
  return run(argv[1], segue::open_device(argv[2]), argc == 4);
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
