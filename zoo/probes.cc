// The networks that `segue calibrate` times.
#include "segue/zoo.h"
#include "zoo/internal/architectures.h"
#include "zoo/internal/pieces.h"
#include "zoo/internal/serialize.h"

namespace segue {
namespace {

using zoo::Network;
using zoo::square;
using zoo::ValueId;

constexpr std::int32_t kMap = 64;      // pixels, high and wide
constexpr std::int32_t kFilters = 64;  // as many as a tile computes in parallel

Network network(const std::string& what) { return Network("segue-probe-" + what); }

Model invoke_probe() {
  Network net = network("invoke");
  return zoo::model_of(net, zoo::sample(net, net.input({16, 16, 3}, "input"), 4, 4));
}

// The weights of 9.4 MB exceed the memory of an Edge TPU. Layers are cached as a whole, so all of
// them stream.
Model link_probe() {
  constexpr std::int32_t kUnits = 3072;
  Network net = network("link");
  // Google's compiler supports no other dense layers.
  net.use_one_scale_per_dense_layer();
  const ValueId x = net.input({.channels = kUnits, .rank = 2}, "input");
  return zoo::model_of(net, net.dense(x, {kUnits, false}, "dense", "dense"));
}

Model input_probe() {
  Network net = network("input");
  return zoo::model_of(net, zoo::sample(net, net.input({kMap, kMap, kFilters}, "input"), 4, 4));
}

Model output_probe() {
  Network net = network("output");
  return zoo::model_of(net, zoo::sample(net, net.input({kMap, kMap, 3}, "input"), 1, kFilters));
}

Model clock_probe() {
  constexpr std::int32_t kLayers = 6;
  Network net = network("clock");
  const ValueId x = net.input({kMap, kMap, 3}, "input");
  return zoo::model_of(
      net, zoo::sample(net, zoo::conv_chain(net, x, kLayers, square(7), kFilters), 4, 4));
}

// A network with many operators, also depthwise convolutions.
Model small_network() {
  return parse_model(zoo::serialize(zoo::mobilenet(128)), "segue-probe-mobilenet");
}

// A network with large maps between the convolutions and at the output.
Model maps_network() {
  Network net = network("maps");
  const ValueId x = net.input({kMap, kMap, 3}, "input");
  return zoo::model_of(net, zoo::conv_chain(net, x, 3, square(3), kFilters / 2));
}

// A network with a convolution of 9.4 MB, which streams.
Model streaming_network() {
  constexpr std::int32_t kWide = 1024;
  constexpr std::int32_t kNarrowMap = 8;
  Network net = network("streaming");
  const ValueId x = net.input({kNarrowMap, kNarrowMap, kWide}, "input");
  return zoo::model_of(net, zoo::conv_chain(net, x, 1, square(3), kWide));
}

}  // namespace

std::vector<Probe> make_probes() {
  std::vector<Probe> probes;
  probes.push_back({invoke_probe(), "invoke"});
  probes.push_back({link_probe(), "link"});
  probes.push_back({input_probe(), "input"});
  probes.push_back({output_probe(), "output"});
  probes.push_back({clock_probe(), "clock"});
  probes.push_back({small_network(), ""});
  probes.push_back({maps_network(), ""});
  probes.push_back({streaming_network(), ""});
  return probes;
}

}  // namespace segue
