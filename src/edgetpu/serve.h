// The process of an Edge TPU.
#pragma once

namespace segue::edgetpu {

// Drives one device for the process at the other end of `socket` until that is gone. See
// protocol.h.
void serve(int socket);

}  // namespace segue::edgetpu
