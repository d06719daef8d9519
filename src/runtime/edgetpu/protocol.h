// The protocol between a pipeline's process and the process of an Edge TPU. Every request except
// kChunk and kClose is answered, in order, by kDone or kFailed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/internal/process/message.h"
#include "segue/edgetpu.h"
#include "segue/runtime.h"

namespace segue::edgetpu {

enum class Request : std::uint64_t {
  // Version of Segue, candidates for the libraries, device, settings, with a file to lock. Answer:
  // description.
  kDevice,
  // Name, size, with the model's file. Answer: number of the session, ports, addresses of the
  // inputs.
  kModel,
  kChunk,  // size, with the file: the next chunk of the shared memory
  // Session, places of the inputs, places of the outputs. Answer: addresses of the outputs that
  // stay in their tensors.
  kRun,
  kClose  // session
};

enum class Answer : std::uint64_t {
  kDone,
  kFailed  // code of the Error, text
};

// The place of a value: in the shared memory or in the session's tensor. The pipeline's process
// writes an input to its tensor before it requests a run, and reads an output from it afterwards.
struct TensorPlace {
  static constexpr std::uint64_t kInTensor = ~std::uint64_t{0};  // value of `chunk`
  std::uint64_t chunk = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

void put(MessageWriter& to, const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
         const EdgeTpuSettings& settings);
void take(MessageReader& from, EdgeTpuLibraries& libraries, EdgeTpuDevice& device,
          EdgeTpuSettings& settings);
void put(MessageWriter& to, std::span<const Port> ports);
[[nodiscard]] std::vector<Port> take_ports(MessageReader& from);
void put(MessageWriter& to, const TensorPlace& place);
[[nodiscard]] TensorPlace take_place(MessageReader& from);

}  // namespace segue::edgetpu
