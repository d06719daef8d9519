// Fuzzes the reader of files compiled by Google's compiler.
#include "segue/model.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] {
    const Model model = parse_model(fuzz::bytes_of(data, size), "model");
    for (const CompiledExecutable& executable : compiled_executables(model)) {
      fuzz::require(executable.parameter_bytes <= size && executable.instruction_bytes <= size,
                    "no program is larger than its file");
    }
  });
  return 0;
}
