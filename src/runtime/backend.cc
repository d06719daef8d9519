#include <fmt/format.h>

#include <algorithm>

#include "base/internal/process/shared_memory.h"
#include "runtime/port_checks.h"
#include "segue/error.h"
#include "segue/runtime.h"
#include "segue/units.h"

namespace segue {
namespace {

std::string wrong_count(std::size_t given, std::size_t expected) {
  return fmt::format("returned {}, expected {}", format_count(given, "output"), expected);
}

std::string wrong_size(const Port& port, std::uint64_t given, std::uint64_t expected) {
  return fmt::format("returned {} bytes for '{}', expected {}", given, port.name, expected);
}

}  // namespace

void check_inputs(const std::string& model, std::span<const Port> ports,
                  std::span<const std::span<const std::byte>> inputs) {
  if (inputs.size() != ports.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} given, but the model has {}", model,
                            format_count(inputs.size(), "input"), ports.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].size() == ports[i].bytes) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: input '{}' needs {} bytes, but {} were given", model,
                            ports[i].name, ports[i].bytes, inputs[i].size()));
  }
}

std::string wrong_outputs(std::span<const Port> ports, std::span<const TensorBytes> outputs) {
  if (outputs.size() != ports.size()) return wrong_count(outputs.size(), ports.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].size() != ports[i].bytes)
      return wrong_size(ports[i], outputs[i].size(), ports[i].bytes);
  }
  return {};
}

void check_output_size(const Port& port, std::uint64_t given, std::uint64_t expected) {
  if (given != expected) throw Error(ErrorCode::kDevice, wrong_size(port, given, expected));
}

void Session::run_to(std::span<const std::span<const std::byte>> inputs,
                     std::span<const std::span<std::byte>> outputs) {
  std::vector<TensorBytes> values;
  run_into(inputs, values);
  if (values.size() != outputs.size())
    throw Error(ErrorCode::kDevice, wrong_count(values.size(), outputs.size()));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check_output_size(this->outputs()[i], values[i].size(), outputs[i].size());
    std::ranges::copy(values[i], outputs[i].begin());
  }
}

std::shared_ptr<const Backend> Backend::in_own_process(
    const std::shared_ptr<SharedMemory>& /*memory*/) const {
  return nullptr;
}

std::shared_ptr<const Backend> isolate(std::shared_ptr<const Backend> backend) {
  auto isolated = backend->in_own_process(std::make_shared<SharedMemory>());
  return isolated == nullptr ? std::move(backend) : std::move(isolated);
}

}  // namespace segue
