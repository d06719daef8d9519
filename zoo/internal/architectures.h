// One function per family of CNNs. Each file names the definitions that it follows, with the same
// layer names and parameter counts.
#pragma once

#include <cstdint>
#include <string>

#include "zoo/network.h"

namespace segue::zoo {

[[nodiscard]] Network conv_stack(std::int32_t filters);
[[nodiscard]] Network dense_stack(std::int32_t units);
// `width` scales the filters of all layers except the last.
[[nodiscard]] Network mobilenet(std::int32_t size, double width = 1);
[[nodiscard]] Network mobilenet_v2(std::int32_t size);
[[nodiscard]] Network mobilenet_v3_large(std::int32_t size);
[[nodiscard]] Network mobilenet_v3_small(std::int32_t size);
[[nodiscard]] Network nasnet_mobile(std::int32_t size);
[[nodiscard]] Network efficientnet_lite(int variant, std::int32_t size);
// Variant 's', 'm' or 'l'.
[[nodiscard]] Network efficientnet_edgetpu(char variant, std::int32_t size);
[[nodiscard]] Network densenet(int depth, std::int32_t size);
[[nodiscard]] Network xception(std::int32_t size);
[[nodiscard]] Network inception_v1(std::int32_t size);
[[nodiscard]] Network inception_v3(std::int32_t size);
[[nodiscard]] Network inception_v4(std::int32_t size);
[[nodiscard]] Network inception_resnet_v2(std::int32_t size);
[[nodiscard]] Network resnet(int depth, std::int32_t size);
[[nodiscard]] Network resnet_v2(int depth, std::int32_t size);
[[nodiscard]] Network vgg(int depth, std::int32_t size);
[[nodiscard]] Network squeezenet(std::int32_t size);
[[nodiscard]] Network ssd_mobilenet_v1_fpn(std::int32_t size);
[[nodiscard]] Network ssd_mobilenet_v2(std::int32_t size);
[[nodiscard]] Network ssdlite_mobiledet(std::int32_t size);
// Variant "0", "1", "2", "3" or "3x".
[[nodiscard]] Network efficientdet_lite(const std::string& variant, std::int32_t size);
// Letter 'n', 's', 'm' or 'l'.
[[nodiscard]] Network yolov5(char letter, std::int32_t height, std::int32_t width);
[[nodiscard]] Network yolov8(char letter, std::int32_t height, std::int32_t width);

}  // namespace segue::zoo
