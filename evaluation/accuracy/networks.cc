#include "evaluation/accuracy/networks.h"

#include <algorithm>

#include "zoo/internal/architectures.h"
#include "zoo/internal/pieces.h"
#include "zoo/internal/serialize.h"

namespace segue {
namespace {

using zoo::Activation;
using zoo::conv_chain;
using zoo::model_of;
using zoo::Network;
using zoo::Norm;
using zoo::sample;
using zoo::square;
using zoo::ValueId;

}  // namespace

Model mobilenet_v1(double width, std::int32_t input_size) {
  const Network net = zoo::mobilenet(input_size, width);
  return parse_model(zoo::serialize(net), net.name());
}

Model usb_stack(std::int32_t layers) {
  constexpr std::int32_t kSize = 128;
  constexpr std::int32_t kFilters = 32;
  Network net("usb_stack");
  ValueId x = net.extend(net.input({2, 2, 3}, "input"), kSize - 2, kSize - 2, "pad");
  x = conv_chain(net, x, layers, square(7), kFilters);
  return model_of(net, sample(net, x, kSize, 1));
}

Model conv_stack(std::int32_t layers, std::int32_t filters) {
  constexpr std::int32_t kSize = 64;
  Network net("conv_stack");
  net.leave_biases_zero();
  const ValueId x = net.input({kSize, kSize, 3}, "input");
  return model_of(net, conv_chain(net, x, layers, square(3), filters));
}

Model residual_net(std::int32_t pixels) {
  constexpr std::int32_t kStages = 4;
  constexpr std::int32_t kBlocks = 16;
  constexpr std::int32_t kFilters = 32;
  Network net("residual_net");
  const auto conv = [&](ValueId x, std::int32_t filters, std::int32_t stride) {
    const std::string name = net.auto_name("conv2d");
    return net.conv(x, {square(3, stride), filters, true, Norm::kNone, Activation::kRelu}, name,
                    name);
  };
  ValueId x = conv(net.input({pixels, pixels, 3}, "input"), kFilters, 2);
  x = net.max_pool(x, square(3, 2), "pool");
  for (std::int32_t stage = 0; stage < kStages; ++stage) {
    const std::int32_t filters = kFilters << stage;
    if (stage > 0) x = conv(x, filters, 2);
    for (std::int32_t block = 0; block < kBlocks; ++block)
      x = net.add(conv(conv(x, filters, 1), filters, 1), x, Activation::kRelu,
                  net.auto_name("add"));
  }
  return model_of(net, net.dense(net.global_average(x, false, "mean"), {100}, "dense", "dense"));
}

Model transfer_test(TransferTest test, std::int32_t height, std::int32_t width) {
  Network net("transfer_test");
  ValueId x = test == TransferTest::kInput ? net.input({height, width, 3}, "input")
                                           : net.input({2, 2, 3}, "input");
  if (test != TransferTest::kInput) x = net.extend(x, height - 2, width - 2, "pad");
  if (test == TransferTest::kOutput) return model_of(net, x);
  return model_of(net, sample(net, x, std::max(height, width), 3));
}

}  // namespace segue
