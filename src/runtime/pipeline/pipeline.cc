#include "segue/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/pipeline/state.h"

namespace segue {

std::uint32_t PipelineLayout::device_count() const {
  std::uint32_t count = 0;
  for (const PipelineSegment& segment : segments) {
    if (segment.host == nullptr) count += segment.replicas;
  }
  return count;
}

Pipeline::Pipeline(PipelineLayout layout, std::vector<PipelineDevice> devices,
                   PipelineOptions options)
    : state_(std::make_shared<PipelineState>(std::move(layout), std::move(devices),
                                             std::move(options))) {
  state_->start_threads();
}

Pipeline::~Pipeline() { state_->stop(); }

std::span<const Port> Pipeline::inputs() const { return state_->input_ports(); }
std::span<const Port> Pipeline::outputs() const { return state_->output_ports(); }

Flow Pipeline::push(std::vector<TensorBytes>&& inputs, Nanoseconds timeout) {
  return state_->push(inputs, timeout);
}
Flow Pipeline::push_borrowed(std::vector<BorrowedTensor>&& inputs, Nanoseconds timeout) {
  return state_->push(inputs, timeout);
}
Flow Pipeline::pop(PipelineResult& result, Nanoseconds timeout) {
  return state_->pop(result, timeout);
}
void Pipeline::set_capacities(std::uint32_t queue, std::uint32_t results) {
  state_->set_capacities(queue, results);
}
void Pipeline::close() { state_->close(); }
void Pipeline::cancel() { state_->cancel(); }
PipelineStatistics Pipeline::statistics() const { return state_->statistics(); }
PipelineTrace Pipeline::trace() const { return state_->trace(); }

}  // namespace segue
