// The main loop of an Edge TPU's process.
#pragma once

namespace segue::edgetpu {

// Drives one device for the process at the other end of `socket`, until that end is closed
// (protocol.h). Throws Error(kIo) when the system lacks resources.
void serve(int socket);

}  // namespace segue::edgetpu
