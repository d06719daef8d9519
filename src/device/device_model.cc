// The functions of cost.h that ask the model of a device.
#include "device/edgetpu/edgetpu_model.h"
#include "segue/cost.h"

namespace segue {
namespace {

class EdgeTpuModel : public DeviceModel {
 public:
  [[nodiscard]] bool supports(const Model& model, OperatorId id) const override {
    return is_supported_on_device(model, id);
  }
  [[nodiscard]] std::unique_ptr<Compiler> compiler(const DeviceSpec& device) const override {
    return edgetpu_compiler(device);
  }
  [[nodiscard]] SegmentTime time(const Graph& graph, std::span<const OperatorId> operators,
                                 const MemoryReport& memory,
                                 const DeviceSpec& device) const override {
    return edgetpu_time(graph, operators, memory, device);
  }
  [[nodiscard]] std::optional<TimeRange> range(const Graph& graph,
                                               std::span<const OperatorId> operators,
                                               const SegmentTime& time, const DeviceSpec& device,
                                               const MemoryReport& memory) const override {
    return time_range(graph, operators, time, device, memory);
  }
};

}  // namespace

Nanoseconds DeviceModel::least_time(const Graph& /*graph*/, OperatorId /*id*/,
                                    const DeviceSpec& /*device*/) const {
  return Nanoseconds(0);
}

std::optional<TimeRange> DeviceModel::range(const Graph& /*graph*/,
                                            std::span<const OperatorId> /*operators*/,
                                            const SegmentTime& /*time*/,
                                            const DeviceSpec& /*device*/,
                                            const MemoryReport& /*memory*/) const {
  return std::nullopt;
}

const DeviceModel& edgetpu_model() {
  static const EdgeTpuModel model;
  return model;
}

std::unique_ptr<Compiler> make_simulated_compiler(const DeviceSpec& device) {
  return device.model->compiler(device);
}

SegmentTime simulate_segment(const Graph& graph, std::span<const OperatorId> operators,
                             const MemoryReport& memory, const DeviceSpec& device) {
  return device.model->time(graph, operators, memory, device);
}

}  // namespace segue
