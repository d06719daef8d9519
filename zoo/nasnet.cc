// NASNet-A (4 @ 1056), Zoph et al. 2017, as keras.applications.NASNetMobile defines it. It applies
// a ReLU or a pool several times to the same tensor.
#include <optional>

#include "zoo/internal/architectures.h"

namespace segue::zoo {
namespace {

constexpr std::int32_t kPenultimateFilters = 1056;
constexpr std::int32_t kFilters = kPenultimateFilters / 24;
constexpr int kCellsPerStage = 4;

struct Cell {
  ValueId output{};
  ValueId input{};
};

class Builder {
 public:
  explicit Builder(Network& net) : net_(net) {}

  ValueId relu(ValueId x) { return net_.relu(x, net_.auto_name("activation")); }

  ValueId stem(ValueId x) {
    return net_.conv(x, {square(3, 2, Padding::kValid), 32, false, Norm::kBatch}, "stem_conv1",
                     "stem_bn1");
  }

  Cell normal(ValueId ip, std::optional<ValueId> previous, std::int32_t filters,
              const std::string& id) {
    const ValueId p = adjust(previous, ip, filters, id);
    const ValueId h = squeeze(ip, filters, "normal_conv_1_" + id, "normal_bn_1_" + id);
    const ValueId left1 = separable(h, filters, 5, 1, "normal_left1_" + id);
    const ValueId right1 = separable(p, filters, 3, 1, "normal_right1_" + id);
    const ValueId x1 = add(left1, right1, "normal_add_1_" + id);
    const ValueId left2 = separable(p, filters, 5, 1, "normal_left2_" + id);
    const ValueId right2 = separable(p, filters, 3, 1, "normal_right2_" + id);
    const ValueId x2 = add(left2, right2, "normal_add_2_" + id);
    const ValueId x3 =
        add(net_.average_pool(h, square(3), "normal_left3_" + id), p, "normal_add_3_" + id);
    const ValueId x4 =
        add(net_.average_pool(p, square(3), "normal_left4_" + id),
            net_.average_pool(p, square(3), "normal_right4_" + id), "normal_add_4_" + id);
    const ValueId left5 = separable(h, filters, 3, 1, "normal_left5_" + id);
    const ValueId x5 = add(left5, h, "normal_add_5_" + id);
    return {net_.concat({p, x1, x2, x3, x4, x5}, "normal_concat_" + id), ip};
  }

  Cell reduction(ValueId ip, std::optional<ValueId> previous, std::int32_t filters,
                 const std::string& id) {
    const ValueId p = adjust(previous, ip, filters, id);
    const ValueId h = squeeze(ip, filters, "reduction_conv_1_" + id, "reduction_bn_1_" + id);
    const std::int32_t before =
        net_.shape(h).height % 2;  // TensorFlow's SAME for a 3x3 at stride 2
    const ValueId padded = net_.pad(h, before, 1, "reduction_pad_1_" + id);
    const ValueId left1 = separable(h, filters, 5, 2, "reduction_left1_" + id);
    const ValueId right1 = separable(p, filters, 7, 2, "reduction_right1_" + id);
    const ValueId x1 = add(left1, right1, "reduction_add_1_" + id);
    const Window pool = square(3, 2, Padding::kValid);
    const ValueId largest = net_.max_pool(padded, pool, "reduction_left2_" + id);
    const ValueId right2 = separable(p, filters, 7, 2, "reduction_right2_" + id);
    const ValueId x2 = add(largest, right2, "reduction_add_2_" + id);
    const ValueId left3 = net_.average_pool(padded, pool, "reduction_left3_" + id);
    const ValueId right3 = separable(p, filters, 5, 2, "reduction_right3_" + id);
    const ValueId x3 = add(left3, right3, "reduction_add3_" + id);
    const ValueId left4 = net_.average_pool(x1, square(3), "reduction_left4_" + id);
    const ValueId x4 = add(x2, left4, net_.auto_name("add"));
    const ValueId left5 = separable(x1, filters, 3, 1, "reduction_left4_" + id);
    const ValueId right5 = net_.max_pool(padded, pool, "reduction_right5_" + id);
    const ValueId x5 = add(left5, right5, "reduction_add4_" + id);
    return {net_.concat({x2, x3, x4, x5}, "reduction_concat_" + id), ip};
  }

 private:
  ValueId add(ValueId a, ValueId b, const std::string& name) {
    return net_.add(a, b, Activation::kNone, name);
  }

  ValueId squeeze(ValueId x, std::int32_t filters, const std::string& name,
                  const std::string& output_name) {
    return net_.conv(relu(x), {square(1), filters, false, Norm::kBatch}, name, output_name);
  }

  // ReLU, separable convolution and batch normalization, twice.
  ValueId separable(ValueId x, std::int32_t filters, std::int32_t kernel, std::int32_t stride,
                    const std::string& id) {
    const std::string first = "separable_conv_1_" + id;
    const std::string second = "separable_conv_2_" + id;
    ValueId y = net_.depthwise(relu(x), {square(kernel, stride)}, first, first + "/depthwise");
    y = net_.conv(y, {kPointwise, filters, false, Norm::kBatch, Activation::kRelu}, first,
                  net_.auto_name("activation"));
    y = net_.depthwise(y, {square(kernel)}, second, second + "/depthwise");
    return net_.conv(y, {kPointwise, filters, false, Norm::kBatch}, second,
                     "separable_conv_2_bn_" + id);
  }

  // Brings the output of the cell before last to the size and width of the current one.
  ValueId adjust(std::optional<ValueId> previous, ValueId ip, std::int32_t filters,
                 const std::string& id) {
    if (!previous) return ip;
    const ValueId p = *previous;
    if (net_.shape(p).height != net_.shape(ip).height) return halve(p, filters, id);
    if (net_.shape(p).channels == filters) return p;
    return net_.conv(relu(p), {square(1), filters, false, Norm::kBatch},
                     "adjust_conv_projection_" + id, "adjust_bn_" + id);
  }

  ValueId halve(ValueId p, std::int32_t filters, const std::string& id) {
    const ValueId active = net_.relu(p, "adjust_relu_1_" + id);
    const Window every_second = square(1, 2, Padding::kValid);
    ValueId even = net_.average_pool(active, every_second, "adjust_avg_pool_1_" + id);
    even = net_.conv(even, {square(1), filters / 2}, "adjust_conv_1_" + id, "adjust_conv_1_" + id);
    ValueId odd = net_.pad(active, 0, 1, net_.auto_name("zero_padding2d"));
    odd = net_.crop_first(odd, net_.auto_name("cropping2d"));
    odd = net_.average_pool(odd, every_second, "adjust_avg_pool_2_" + id);
    odd = net_.conv(odd, {square(1), filters / 2}, "adjust_conv_2_" + id, "adjust_conv_2_" + id);
    const ValueId both = net_.concat({even, odd}, net_.auto_name("concatenate"));
    return net_.batch_norm(both, Activation::kNone, "adjust_bn_" + id, "adjust_bn_" + id);
  }

  Network& net_;
};

}  // namespace

Network nasnet_mobile(std::int32_t size) {
  Network net("nasnetmobile", ChannelAxis::kLast);
  Builder build(net);
  ValueId x = build.stem(net.input({size, size, 3}, "input_1"));
  Cell cell = build.reduction(x, std::nullopt, kFilters / 4, "stem_1");
  cell = build.reduction(cell.output, cell.input, kFilters / 2, "stem_2");
  std::int32_t filters = kFilters;
  for (int stage = 0; stage < 3; ++stage, filters *= 2) {
    if (stage > 0) {
      cell = build.reduction(cell.output, cell.input, filters,
                             "reduce_" + std::to_string(stage * kCellsPerStage));
    }
    for (int i = 0; i < kCellsPerStage; ++i) {
      const int id = stage * kCellsPerStage + i + (stage > 0 ? 1 : 0);
      cell = build.normal(cell.output, cell.input, filters, std::to_string(id));
    }
  }
  x = build.relu(cell.output);
  x = net.global_average(x, false, "global_average_pooling2d");
  x = net.dense(x, {1000}, "predictions", "predictions/logits");
  net.set_output(net.softmax(x, "predictions"));
  return net;
}

}  // namespace segue::zoo
