// segue-device: runs one Edge TPU for the program that starts it. Not for the command line.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "edgetpu/serve.h"
#include "process/child.h"
#include "process/worker.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("segue-device runs an Edge TPU for Segue, which starts it\n", stderr);
    return EXIT_FAILURE;
  }
  // A sanitizer's would hide how the library ends the process.
  segue::forget_callers_signals();
  try {
    segue::end_with_parent(segue::kWorkerSocket, static_cast<pid_t>(std::atol(argv[1])));
    segue::edgetpu::serve(segue::kWorkerSocket);
  } catch (const std::exception& error) {
    // The parent repeats it.
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
