// Predictions for the measured set-ups.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "plan/internal/pipeline_pace.h"
#include "segue/cost.h"
#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/plan.h"
#include "segue/segmentation.h"

namespace segue {

// The session of the convolutional sweep on one device took this much longer per inference than the
// device explains: other files of the same host have 0.97 to 1.20 ms where this one has 2.15 ms (F
// = 32). The value was fitted with the constants and is not part of any device.
inline constexpr double kSweepSessionMs = 1.3;

// Returns a device of the catalogue on the host on which its constants were measured.
[[nodiscard]] DeviceSpec on_measured_host(const char* device);

// A time with its range, and the kind of its segments if all are of one kind.
struct RangedTime {
  Nanoseconds time{0};
  TimeRange range;
  std::optional<SegmentKind> kind = std::nullopt;
};

[[nodiscard]] RangedTime ranged(const Model& model, const SegmentTime& time,
                                const DeviceSpec& device);

// Simulates a whole model on one device with the simulated compiler.
[[nodiscard]] SegmentTime predict(const Model& model, const DeviceSpec& device);

// Returns the device as compilers 1.0 and 2.0 of 2019 and 2020 used it: a layer with fewer than 64
// outputs took the space of 64.
[[nodiscard]] DeviceSpec with_first_compilers(const DeviceSpec& device);

// The pipeline by Google's rule in file order on a card of 8 TPUs. The card's networks came from
// PyTorch, whose exports put the shortcut of a residual block after its main path. libcoral's order
// of these is the file order of the zoo's networks, which have the shortcut first.
struct CardPipeline {
  RangedTime latency;  // with the chain of Python interpreters on the card's host
  RangedTime period;
  std::uint64_t host_bytes = 0;
};
[[nodiscard]] CardPipeline predict_on_card(const Graph& graph, std::uint32_t segments);

// Simulates the same with the memory that a compiler reported: the first layers are cached and the
// last ones streamed.
[[nodiscard]] SegmentTime predict_with_report(const Model& model, double on_chip_mib,
                                              double host_mib, const DeviceSpec& device);

// The host of the pipelines' rows.
inline constexpr HostPace kMeasuredHost{kMostHostStretch, kBusyHostCores};

// One model of the convolutional sweep, whole and in segments by Google's rule.
class SweepPredictor {
 public:
  explicit SweepPredictor(std::int32_t filters);

  [[nodiscard]] Nanoseconds one_device(
      const DeviceSpec& device = find_device("edgetpu-pcie")) const;
  // Returns the total time of a batch divided by its size. The first input passes all stages, and
  // then a result follows in each period.
  [[nodiscard]] Nanoseconds pipeline(std::size_t devices, std::uint64_t batch, const HostPace& pace,
                                     const DeviceSpec& device = find_device("edgetpu-pcie")) const;
  // Returns the same time with its range. Only a batch of one has a kind.
  [[nodiscard]] RangedTime ranged_pipeline(std::size_t devices, std::uint64_t batch,
                                           const HostPace& pace, const DeviceSpec& device) const;
  // Returns the time of two segments, the first of which has this number of layers.
  [[nodiscard]] RangedTime ranged_in_two(std::size_t first_layers, std::uint64_t batch,
                                         const HostPace& pace, const DeviceSpec& device) const;

 private:
  [[nodiscard]] Nanoseconds in_segments(const Segmentation& segmentation, std::uint64_t batch,
                                        const HostPace& pace, const DeviceSpec& device) const;
  [[nodiscard]] RangedTime ranged_segments(const Segmentation& segmentation, std::uint64_t batch,
                                           const HostPace& pace, const DeviceSpec& device) const;

  std::unique_ptr<Model> model_;  // on the heap, so that the graph may refer to it
  Graph graph_;
};

[[nodiscard]] Model dense_stack(std::int32_t units);

}  // namespace segue
