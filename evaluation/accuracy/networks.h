// Makes the models of the measurements.
#pragma once

#include <cstdint>

#include "evaluation/accuracy/measured.h"
#include "segue/model.h"

namespace segue {

[[nodiscard]] Model mobilenet_v1(double width, std::int32_t input_size);
// Makes PAD to 128x128x3, `layers` 7x7 convolutions of 32 filters, and a 1x1 convolution of stride
// 128.
[[nodiscard]] Model usb_stack(std::int32_t layers);
// Makes a model with a map of height x width x 3 as input (a strided convolution follows), as
// output (a padding writes it), or as neither.
[[nodiscard]] Model transfer_test(TransferTest test, std::int32_t height, std::int32_t width);

// Makes 3x3 convolutions of `filters` filters on 64x64x3.
[[nodiscard]] Model conv_stack(std::int32_t layers, std::int32_t filters);
// Makes a 3x3 stem and a pool, both of stride 2, four stages of 16 residual blocks of two 3x3
// convolutions with 32, 64, 128 and 256 filters, and a dense layer of 100.
[[nodiscard]] Model residual_net(std::int32_t pixels);

}  // namespace segue
