// The process of an Edge TPU.
#pragma once

namespace segue::edgetpu {

// Drives one device for the process at the other end of `socket` until that is gone. Throws
// Error(kIo) where the system gives too little; see protocol.h.
void serve(int socket);

}  // namespace segue::edgetpu
