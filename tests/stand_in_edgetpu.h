// The interface through which tests control the stand-in for libedgetpu. Its functions are found
// with dlsym.
#pragma once

enum StandInFault {
  kStandInNone,
  kStandInError,   // the n-th computation fails with an error
  kStandInAbort,   // its transfer fails, which ends the process, as in the real library
  kStandInHang,    // it holds the lock of the device until the test releases it
  kStandInLate,    // it takes 20 ms longer
  kStandInVanish,  // a transfer fails, and the device is gone
  kStandInExit,    // it ends the process in order
  kStandInCrash    // opening a model kills the process, like libraries of different versions
};

// The custom options in files of the stand-in compiler begin with this mark. It is followed by the
// duration in nanoseconds in 64 bits, and by the model. With a duration of 0 the CPU computes the
// model; otherwise nothing is computed.
inline constexpr char kStandInMark[] = "segue stand-in:";

extern "C" {
using StandInReset = void();
using StandInAttach = void(int devices);
using StandInFail = void(int device, int fault, int at);
using StandInRelease = void();
using StandInOpenDelegates = int();
using StandInProcess = int(int device);          // the process that has it open; 0: none
using StandInOpens = int();                      // number of openings of USB devices
using StandInSlowOpen = void(int milliseconds);  // time to open a device
using StandInFailOpens = void(int one_in);       // every n-th opening of a USB device; 0: none
}
