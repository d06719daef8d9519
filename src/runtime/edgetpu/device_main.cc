// segue-device: runs one Edge TPU for the program that starts it. Not intended for the command
// line.
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/internal/process/child.h"
#include "base/internal/process/worker.h"
#include "runtime/edgetpu/serve.h"

namespace {

bool is_started_by_segue() {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(segue::kWorkerSocket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_SEQPACKET;
}

}  // namespace

int main() {
  if (!is_started_by_segue()) {
    std::fputs(
        "segue-device is started by Segue to run an Edge TPU; it is not meant to be run directly\n",
        stderr);
    return EXIT_FAILURE;
  }
  // A sanitizer's signal handlers would hide how libedgetpu ends the process.
  segue::forget_callers_signals();
  // These signals end all processes of a service. The parent handles them and shuts this process
  // down in order.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);
  try {
    segue::edgetpu::serve(segue::kWorkerSocket);
  } catch (const std::exception& error) {
    // The parent includes this line in its message.
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
