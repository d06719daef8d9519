#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <optional>

#include "segue/error.h"
#include "segue/units.h"
#include "segue/zoo.h"
#include "zoo/converter.h"
#include "zoo/internal/architectures.h"
#include "zoo/internal/serialize.h"

namespace segue {
namespace {

using zoo::Network;

struct Recipe {
  ZooEntry entry;  // without the parameter count, which comes from the network
  std::function<Network(std::int32_t size)> build;
  std::int32_t smallest_size = 32;
  std::int32_t size_step = 1;
  // Set if the input need not be square.
  std::function<Network(std::int32_t height, std::int32_t width)> build_rectangle{};
};

constexpr std::int32_t kCoarsestStride = 32;  // of networks that upsample maps twice and join them

Recipe yolo(const std::string& name, const std::string& title,
            Network (*build)(char, std::int32_t, std::int32_t)) {
  const char letter = name.back();
  return {{name, title, 640},
          [=](std::int32_t size) { return build(letter, size, size); },
          kCoarsestStride,
          kCoarsestStride,
          [=](std::int32_t height, std::int32_t width) { return build(letter, height, width); }};
}

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> kRecipes{
      {{"mobilenet", "MobileNet", 224}, [](auto s) { return zoo::mobilenet(s); }},
      {{"mobilenet75", "MobileNet 0.75", 224}, [](auto s) { return zoo::mobilenet(s, 0.75); }},
      {{"mobilenet50", "MobileNet 0.5", 224}, [](auto s) { return zoo::mobilenet(s, 0.5); }},
      {{"mobilenet25", "MobileNet 0.25", 224}, [](auto s) { return zoo::mobilenet(s, 0.25); }},
      {{"mobilenetv2", "MobileNetV2", 224}, zoo::mobilenet_v2},
      {{"mobilenetv3large", "MobileNetV3 Large", 224}, zoo::mobilenet_v3_large},
      {{"mobilenetv3small", "MobileNetV3 Small", 224}, zoo::mobilenet_v3_small},
      {{"nasnetmobile", "NASNetMobile", 224}, zoo::nasnet_mobile},
      {{"efficientnetliteb0", "EfficientNet-Lite B0", 224},
       [](auto s) { return zoo::efficientnet_lite(0, s); }},
      {{"efficientnetliteb1", "EfficientNet-Lite B1", 240},
       [](auto s) { return zoo::efficientnet_lite(1, s); }},
      {{"efficientnetliteb2", "EfficientNet-Lite B2", 260},
       [](auto s) { return zoo::efficientnet_lite(2, s); }},
      {{"efficientnetliteb3", "EfficientNet-Lite B3", 280},
       [](auto s) { return zoo::efficientnet_lite(3, s); }},
      {{"efficientnetliteb4", "EfficientNet-Lite B4", 300},
       [](auto s) { return zoo::efficientnet_lite(4, s); }},
      {{"efficientnetedgetpus", "EfficientNet-EdgeTPU S", 224},
       [](auto s) { return zoo::efficientnet_edgetpu('s', s); }},
      {{"efficientnetedgetpum", "EfficientNet-EdgeTPU M", 240},
       [](auto s) { return zoo::efficientnet_edgetpu('m', s); }},
      {{"efficientnetedgetpul", "EfficientNet-EdgeTPU L", 300},
       [](auto s) { return zoo::efficientnet_edgetpu('l', s); }},
      {{"densenet121", "DenseNet121", 224}, [](auto s) { return zoo::densenet(121, s); }},
      {{"densenet169", "DenseNet169", 224}, [](auto s) { return zoo::densenet(169, s); }},
      {{"densenet201", "DenseNet201", 224}, [](auto s) { return zoo::densenet(201, s); }},
      {{"xception", "Xception", 299}, zoo::xception, 71},
      {{"inceptionv1", "Inception v1", 224}, zoo::inception_v1},
      {{"inceptionv3", "InceptionV3", 299}, zoo::inception_v3, 75},
      {{"inceptionv4", "InceptionV4", 299}, zoo::inception_v4, 75},
      {{"inceptionresnetv2", "InceptionResNetV2", 299}, zoo::inception_resnet_v2, 75},
      {{"resnet50", "ResNet50", 224}, [](auto s) { return zoo::resnet(50, s); }},
      {{"resnet101", "ResNet101", 224}, [](auto s) { return zoo::resnet(101, s); }},
      {{"resnet152", "ResNet152", 224}, [](auto s) { return zoo::resnet(152, s); }},
      {{"resnet50v2", "ResNet50V2", 224}, [](auto s) { return zoo::resnet_v2(50, s); }},
      {{"resnet101v2", "ResNet101V2", 224}, [](auto s) { return zoo::resnet_v2(101, s); }},
      {{"resnet152v2", "ResNet152V2", 224}, [](auto s) { return zoo::resnet_v2(152, s); }},
      {{"vgg16", "VGG16", 224}, [](auto s) { return zoo::vgg(16, s); }},
      {{"vgg19", "VGG19", 224}, [](auto s) { return zoo::vgg(19, s); }},
      {{"squeezenet", "SqueezeNet 1.1", 227}, zoo::squeezenet, 48},
      {{"ssdmobilenetv1fpn", "SSD MobileNet FPN", 640},
       zoo::ssd_mobilenet_v1_fpn,
       kCoarsestStride,
       kCoarsestStride},
      {{"ssdmobilenetv2", "SSD MobileNetV2", 300}, zoo::ssd_mobilenet_v2},
      {{"ssdlitemobiledet", "SSDLite MobileDet", 320}, zoo::ssdlite_mobiledet},
      {{"efficientdetlite0", "EfficientDet-Lite 0", 320},
       [](auto s) { return zoo::efficientdet_lite("0", s); }},
      {{"efficientdetlite1", "EfficientDet-Lite 1", 384},
       [](auto s) { return zoo::efficientdet_lite("1", s); }},
      {{"efficientdetlite2", "EfficientDet-Lite 2", 448},
       [](auto s) { return zoo::efficientdet_lite("2", s); }},
      {{"efficientdetlite3", "EfficientDet-Lite 3", 512},
       [](auto s) { return zoo::efficientdet_lite("3", s); }},
      {{"efficientdetlite3x", "EfficientDet-Lite 3x", 640},
       [](auto s) { return zoo::efficientdet_lite("3x", s); }},
      yolo("yolov5n", "YOLOv5n", zoo::yolov5),
      yolo("yolov5s", "YOLOv5s", zoo::yolov5),
      yolo("yolov5m", "YOLOv5m", zoo::yolov5),
      yolo("yolov5l", "YOLOv5l", zoo::yolov5),
      yolo("yolov8n", "YOLOv8n", zoo::yolov8),
      yolo("yolov8s", "YOLOv8s", zoo::yolov8),
      yolo("yolov8m", "YOLOv8m", zoo::yolov8),
      yolo("yolov8l", "YOLOv8l", zoo::yolov8),
  };
  return kRecipes;
}

[[noreturn]] void fail(std::string_view name, const std::string& reason) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("zoo:{}: {}", name, reason));
}

std::optional<std::int32_t> parse_number(std::string_view text) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1) return std::nullopt;
  return number;
}

// Builds for example "conv5-f442" or "dense4-n1500": a family with any width.
std::optional<Network> make_synthetic(std::string_view name) {
  struct Family {
    std::string_view prefix;
    Network (*build)(std::int32_t);
    std::int32_t largest;
  };
  constexpr std::array<Family, 2> kFamilies{
      {{"conv5-f", zoo::conv_stack, 4096}, {"dense4-n", zoo::dense_stack, 16384}}};
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.prefix)) continue;
    const auto width = parse_number(name.substr(family.prefix.size()));
    if (!width || *width > family.largest) {
      fail(name, fmt::format("the width after '{}' must be a number from 1 to {}", family.prefix,
                             family.largest));
    }
    return family.build(*width);
  }
  return std::nullopt;
}

std::int32_t parse_size(const Recipe& recipe, std::string_view name, std::string_view text) {
  constexpr std::int32_t kLargestSize = 2048;
  const auto size = parse_number(text);
  if (!size || *size < recipe.smallest_size || *size > kLargestSize) {
    fail(name, fmt::format("the input size after '@' must be a number from {} to {}",
                           recipe.smallest_size, kLargestSize));
  }
  if (*size % recipe.size_step != 0) {
    fail(name, fmt::format("the input size after '@' must be a multiple of {}, such as {}",
                           recipe.size_step, *size / recipe.size_step * recipe.size_step));
  }
  return *size;
}

Network make_network(std::string_view name) {
  const std::size_t at = name.find('@');
  const std::string_view base = name.substr(0, at);
  if (at == std::string_view::npos) {
    if (auto synthetic = make_synthetic(base)) return std::move(*synthetic);
  }
  const auto recipe =
      std::ranges::find_if(recipes(), [&](const Recipe& r) { return r.entry.name == base; });
  if (recipe == recipes().end()) {
    std::vector<std::string> known;
    for (const ZooEntry& entry : zoo_catalogue()) known.push_back(entry.name);
    fail(name,
         fmt::format("no such model{}; `segue zoo` lists all models", did_you_mean(base, known)));
  }
  if (at == std::string_view::npos) return recipe->build(recipe->entry.input_size);
  const std::string_view size = name.substr(at + 1);
  const std::size_t cross = size.find('x');
  if (cross == std::string_view::npos) return recipe->build(parse_size(*recipe, name, size));
  if (!recipe->build_rectangle)
    fail(name, "this model has a square input; give one size after '@'");
  return recipe->build_rectangle(parse_size(*recipe, name, size.substr(0, cross)),
                                 parse_size(*recipe, name, size.substr(cross + 1)));
}

}  // namespace

std::span<const ZooEntry> zoo_catalogue() {
  static const std::vector<ZooEntry> kEntries = [] {
    std::vector<ZooEntry> entries{{"conv5-fN", "five 3x3 convolutions of N filters", 64, 0},
                                  {"dense4-nN", "dense 64 -> N (4 times, tanh) -> 10", 0, 0}};
    for (const Recipe& recipe : recipes()) {
      entries.push_back(recipe.entry);
      entries.back().keras_parameters = recipe.build(recipe.entry.input_size).keras_parameters();
    }
    return entries;
  }();
  return kEntries;
}

std::vector<std::byte> make_zoo_model(std::string_view name) {
  const Network network = make_network(name);
  constexpr std::uint64_t kMostParameters = 1'900'000'000;  // a .tflite file ends at 2 GB
  if (network.keras_parameters() > kMostParameters) {
    fail(name,
         fmt::format("{} parameters do not fit in a .tflite file of 2 GB; use a smaller input",
                     network.keras_parameters()));
  }
  return zoo::serialize(zoo::as_converted(network));
}

std::uint64_t zoo_keras_parameters(std::string_view name) {
  return make_network(name).keras_parameters();
}

namespace {

constexpr std::string_view kPrefix = "zoo:";

}  // namespace

Model open_model(const std::string& path_or_zoo_name, const ReadOptions& options) {
  if (path_or_zoo_name.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "no model given; give a .tflite file, or zoo:NAME for a built-in one");
  }
  if (!path_or_zoo_name.starts_with(kPrefix)) {
    std::error_code absent;
    const std::string name = path_or_zoo_name.substr(0, path_or_zoo_name.find('@'));
    if (std::ranges::find(zoo_catalogue(), name, &ZooEntry::name) != zoo_catalogue().end() &&
        !std::filesystem::exists(path_or_zoo_name, absent))
      throw Error(ErrorCode::kIo,
                  fmt::format("{}: no such file; for the built-in network, write {}{}",
                              path_or_zoo_name, kPrefix, path_or_zoo_name));
    return read_model(path_or_zoo_name, options);
  }
  const std::string name = path_or_zoo_name.substr(kPrefix.size());
  return parse_model(make_zoo_model(name), name, options);
}

void check_model_name(const std::string& path_or_zoo_name) {
  if (path_or_zoo_name.starts_with(kPrefix)) {
    (void)zoo_keras_parameters(path_or_zoo_name.substr(kPrefix.size()));
  } else {
    (void)open_model(path_or_zoo_name);
  }
}

}  // namespace segue
