#include "zoo/internal/pieces.h"

#include "zoo/internal/serialize.h"

namespace segue::zoo {

ValueId conv_chain(Network& net, ValueId x, std::int32_t layers, const Window& window,
                   std::int32_t filters) {
  for (std::int32_t i = 0; i < layers; ++i) {
    const std::string name = net.auto_name("conv2d");
    x = net.conv(x, {window, filters, true, Norm::kNone, Activation::kRelu}, name, name);
  }
  return x;
}

ValueId sample(Network& net, ValueId x, std::int32_t stride, std::int32_t filters) {
  return net.conv(x, {square(1, stride), filters, true, Norm::kNone, Activation::kNone}, "sample",
                  "sample");
}

Model model_of(Network& net, ValueId output) {
  net.set_output(output);
  return parse_model(serialize(net), net.name());
}

}  // namespace segue::zoo
