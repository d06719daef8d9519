#include "zoo/converter.h"

#include <algorithm>
#include <utility>

namespace segue::zoo {
namespace {

// Exporting traces every layer a second time, which appends "_1" to its name. The scope's slash
// follows. Both affect the alphabetical order: "conv2d_93" is before "conv2d_9".
std::string node_name(const Layer& layer) { return layer.name + "_1/"; }

// The converter imports a graph by depth-first search over operators whose inputs are complete.
std::vector<Layer> in_converter_order(const Network& network) {
  const std::vector<Layer>& layers = network.layers();
  std::vector<std::vector<std::size_t>> readers(network.values().size());
  std::vector<std::size_t> missing_inputs;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (const ValueId input : layers[i].inputs) readers[index(input)].push_back(i);
    missing_inputs.push_back(layers[i].inputs.size());
  }
  std::vector<std::size_t> ready;
  const auto complete = [&](ValueId value) {
    const auto first = static_cast<std::ptrdiff_t>(ready.size());
    for (const std::size_t reader : readers[index(value)])
      if (--missing_inputs[reader] == 0) ready.push_back(reader);
    std::sort(ready.begin() + first, ready.end(), [&](std::size_t a, std::size_t b) {
      return node_name(layers[a]) > node_name(layers[b]);
    });
  };
  std::vector<Layer> ordered;
  complete(ValueId{0});
  while (!ready.empty()) {
    ordered.push_back(layers[ready.back()]);
    ready.pop_back();
    complete(ordered.back().output);
  }
  return ordered;
}

bool has_weights(const Layer& layer) {
  switch (layer.code) {
    case OpCode::kConv2D:
    case OpCode::kDepthwiseConv2D:
    case OpCode::kFullyConnected:
    case OpCode::kMul:
      return true;
    case OpCode::kAdd:
      return layer.inputs.size() == 1;
    default:
      return false;
  }
}

bool computes_the_same(const Layer& a, const Layer& b) {
  return a.code == b.code && a.inputs == b.inputs && a.activation == b.activation &&
         a.window == b.window && a.constants == b.constants && a.constant == b.constant;
}

std::vector<Layer> without_duplicates(const std::vector<Layer>& layers, std::size_t values) {
  std::vector<ValueId> merged;
  for (std::size_t i = 0; i < values; ++i) merged.push_back(ValueId{static_cast<std::uint32_t>(i)});
  std::vector<Layer> result;
  for (Layer layer : layers) {
    for (ValueId& input : layer.inputs) input = merged[index(input)];
    const auto same = std::ranges::find_if(
        result, [&](const Layer& other) { return computes_the_same(other, layer); });
    if (has_weights(layer) || same == result.end()) {
      result.push_back(std::move(layer));
    } else {
      merged[index(layer.output)] = same->output;
    }
  }
  return result;
}

bool can_activate(const Layer& layer) {
  return layer.activation == Activation::kNone &&
         (has_weights(layer) || layer.code == OpCode::kAdd);
}

std::vector<Layer> with_fused_relus(const std::vector<Layer>& layers, std::size_t values) {
  std::vector<std::size_t> readers(values);
  for (const Layer& layer : layers)
    for (const ValueId input : layer.inputs) ++readers[index(input)];
  std::vector<Layer> result;
  for (const Layer& layer : layers) {
    const auto producer = layer.code == OpCode::kRelu && readers[index(layer.inputs[0])] == 1
                              ? std::ranges::find(result, layer.inputs[0], &Layer::output)
                              : result.end();
    if (producer == result.end() || !can_activate(*producer)) {
      result.push_back(layer);
      continue;
    }
    producer->activation = Activation::kRelu;
    producer->output_name = layer.output_name;
    producer->output = layer.output;
  }
  return result;
}

}  // namespace

Network as_converted(Network network) {
  if (network.keeps_order()) return network;
  const std::size_t values = network.values().size();
  network.replace_layers(
      with_fused_relus(without_duplicates(in_converter_order(network), values), values));
  return network;
}

}  // namespace segue::zoo
