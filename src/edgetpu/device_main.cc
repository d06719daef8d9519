// segue-device: runs one Edge TPU for the program that starts it. Not for the command line.
#include <cstdlib>

#include "edgetpu/serve.h"
#include "process/worker.h"

int main() {
  try {
    segue::edgetpu::serve(segue::kWorkerSocket);
  } catch (...) {
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
