// The 21 networks that results are shown for.
#pragma once

#include <array>
#include <cstdint>

namespace segue::testing {

struct PaperNetwork {
  const char* name;
  std::uint32_t tpus;  // parameters over 8 MiB, rounded up, as the paper chooses it
};

inline constexpr std::array<PaperNetwork, 21> kPaperNetworks{{
    {"mobilenet", 1},          {"mobilenetv2", 1},        {"nasnetmobile", 1},
    {"efficientnetliteb0", 1}, {"efficientnetliteb1", 1}, {"efficientnetliteb2", 1},
    {"efficientnetliteb3", 2}, {"efficientnetliteb4", 2}, {"densenet121", 2},
    {"densenet169", 2},        {"densenet201", 3},        {"xception", 3},
    {"inceptionv3", 3},        {"resnet50", 4},           {"resnet50v2", 4},
    {"inceptionv4", 6},        {"resnet101", 6},          {"resnet101v2", 6},
    {"inceptionresnetv2", 7},  {"resnet152", 8},          {"resnet152v2", 8},
}};

}  // namespace segue::testing
