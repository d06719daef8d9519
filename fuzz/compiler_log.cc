// Fuzzes the reader of logs of Google's compiler.
#include "segue/toolchain.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] { (void)parse_compiler_log(fuzz::text_of(data, size)).unmapped_count(); });
  return 0;
}
