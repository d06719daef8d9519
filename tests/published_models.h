// Published numbers of the models of the zoo.
#pragma once

#include <cstdint>
#include <vector>

namespace segue::testing {

struct Published {
  const char* name;
  std::uint64_t parameters;  // Keras' count_params(); keras.io/api/applications
  double giga_macs;          // counted on the Keras graphs; 0: not stated
};

// Sources are kentsommer's Keras model for InceptionV4, sebastian-sz's for EfficientNet-Lite,
// rcmalli's for SqueezeNet 1.1, torchvision's GoogLeNet without heads for Inception v1, and timm
// for EfficientNet-EdgeTPU. The last two count trainable parameters for 1000 classes, to which the
// statistics of batch normalization and the 1001st class are added.
inline const std::vector<Published>& published() {
  static const std::vector<Published> kModels{
      {"mobilenet", 4253864, 0.569},
      {"mobilenet75", 2601976, 0.325},
      {"mobilenet50", 1342536, 0.1495},
      {"mobilenet25", 475544, 0.041},
      {"mobilenetv2", 3538984, 0.301},
      {"mobilenetv3large", 5507432, 0.217},
      {"mobilenetv3small", 2554968, 0.0565},
      {"nasnetmobile", 5326716, 0.564},
      {"efficientnetliteb0", 4694024, 0.385},
      {"efficientnetliteb1", 5470344, 0.600},
      {"efficientnetliteb2", 6150168, 0.860},
      {"efficientnetliteb3", 8273768, 1.383},
      {"efficientnetliteb4", 13118936, 2.553},
      {"efficientnetedgetpus", 5438392 + 2 * 25720 + 1281, 0},
      {"efficientnetedgetpum", 6899496 + 2 * 33904 + 1281, 0},
      {"efficientnetedgetpul", 10589712 + 2 * 46104 + 1537, 0},
      {"densenet121", 8062504, 2.834},
      {"densenet169", 14307880, 3.360},
      {"densenet201", 20242984, 4.291},
      {"xception", 22910480, 8.357},
      {"inceptionv1", 6624904 + 7280 + 1025, 0},
      {"inceptionv3", 23851784, 5.713},
      {"inceptionv4", 42712937, 12.254},
      {"inceptionresnetv2", 55873736, 13.156},
      {"resnet50", 25636712, 3.858},
      {"resnet101", 44707176, 7.570},
      {"resnet152", 60419944, 11.282},
      {"resnet50v2", 25613800, 3.482},
      {"resnet101v2", 44675560, 7.194},
      {"resnet152v2", 60380648, 10.907},
      {"vgg16", 138357544, 0},
      {"vgg19", 143667240, 0},
      {"squeezenet", 1235496, 0}};
  return kModels;
}

struct PublishedDetector {
  const char* name;
  std::uint64_t parameters;
  double giga_macs;     // 0: not stated
  const char* smaller;  // the same network with an input that is quickly computed
};

// YOLO: Ultralytics' model cards, with half of the operations that they count, and parameters
// without statistics of batch normalization. SSD: TensorFlow Object Detection API 2.8.
// EfficientDet-Lite: TensorFlow Lite Model Maker 0.4. The numbers of the last two are counted from
// the variables of networks that these programs built.
inline const std::vector<PublishedDetector>& detectors() {
  static const std::vector<PublishedDetector> kDetectors{
      {"ssdmobilenetv1fpn", 12125178, 0, "ssdmobilenetv1fpn@128"},
      {"ssdmobilenetv2", 6103999, 0, "ssdmobilenetv2@128"},
      {"ssdlitemobiledet", 4196095, 0, "ssdlitemobiledet@128"},
      {"efficientdetlite0", 3290606, 0, "efficientdetlite0@128"},
      {"efficientdetlite1", 4311390, 0, "efficientdetlite1@128"},
      {"efficientdetlite2", 5324894, 0, "efficientdetlite2@128"},
      {"efficientdetlite3", 8455054, 0, "efficientdetlite3@128"},
      {"efficientdetlite3x", 9392574, 0, "efficientdetlite3x@128"},
      {"yolov5n", 1872157, 4.5 / 2, "yolov5n@128"},
      {"yolov5s", 7235389, 16.5 / 2, "yolov5s@128"},
      {"yolov5m", 21190557, 49.0 / 2, "yolov5m@64"},
      {"yolov5l", 46563709, 109.1 / 2, "yolov5l@64"},
      {"yolov8n", 3157200, 8.7 / 2, "yolov8n@128"},
      {"yolov8s", 11166560, 28.6 / 2, "yolov8s@128"},
      {"yolov8m", 25902640, 78.9 / 2, "yolov8m@64"},
      {"yolov8l", 43691520, 165.2 / 2, "yolov8l@64"}};
  return kDetectors;
}

}  // namespace segue::testing
