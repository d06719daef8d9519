// What tests tell the stand-in for libedgetpu; its functions are found with dlsym.
#pragma once

enum StandInFault {
  kStandInNone,
  kStandInError,   // the n-th computation fails and says so
  kStandInAbort,   // a transfer of it fails, which ends the process, as in the real library
  kStandInHang,    // it returns when told to, and holds the lock of the device until then
  kStandInLate,    // it takes 20 ms longer
  kStandInVanish,  // a transfer fails, and the device is gone
  kStandInExit,    // it ends the process in order
  kStandInCrash    // opening a model kills the process, as libraries that do not fit together do
};

// What begins the custom options of files of the stand-in compiler. The nanoseconds that it takes
// follow in 64 bits (0: as long as the CPU computes; else nothing is computed), then the model.
inline constexpr char kStandInMark[] = "segue stand-in:";

extern "C" {
using StandInReset = void();
using StandInAttach = void(int devices);
using StandInFail = void(int device, int fault, int at);
using StandInRelease = void();
using StandInOpenDelegates = int();
using StandInProcess = int(int device);          // that has it open; 0: none
using StandInOpens = int();                      // of USB devices
using StandInSlowOpen = void(int milliseconds);  // what opening a device takes
using StandInFailOpens = void(int one_in);       // openings of USB devices; 0: none
}
