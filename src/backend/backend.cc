#include "segue/backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/tflite_runtime.h"
#include "segue/error.h"
#include "segue/units.h"

namespace segue {

void check_output_size(const Port& port, std::uint64_t given, std::uint64_t expected) {
  if (given == expected) return;
  throw Error(ErrorCode::kDevice,
              fmt::format("gave {} bytes for '{}', {} are expected", given, port.name, expected));
}

void Session::run_to(std::span<const std::span<const std::byte>> inputs,
                     std::span<const std::span<std::byte>> outputs) {
  std::vector<TensorBytes> values;
  run_into(inputs, values);
  if (values.size() != outputs.size()) {
    throw Error(
        ErrorCode::kDevice,
        fmt::format("gave {}, expected {}", format_count(values.size(), "output"), outputs.size()));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check_output_size(this->outputs()[i], values[i].size(), outputs[i].size());
    std::ranges::copy(values[i], outputs[i].begin());
  }
}

std::shared_ptr<const Backend> Backend::in_own_process(
    const std::shared_ptr<SharedMemory>& /*memory*/) const {
  return nullptr;
}

}  // namespace segue
