// The state of the stand-in's devices. It is in a file that all processes map whose variable
// STAND_IN_STATE contains the file's name.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iterator>
#include <new>

#include "stand_in_edgetpu.h"

namespace {

struct Device {
  int type;
  const char* path;
};
constexpr int kAttached = 3;  // unless a test attaches more
constexpr Device devices[] = {
    {0, "/dev/apex_0"}, {0, "/dev/apex_1"}, {1, "/sys/bus/usb/devices/2-1"},
    {0, "/dev/apex_2"}, {0, "/dev/apex_3"}, {0, "/dev/apex_4"},
    {0, "/dev/apex_5"}, {0, "/dev/apex_6"}, {0, "/dev/apex_7"},
    {0, "/dev/apex_8"}, {0, "/dev/apex_9"}, {0, "/dev/apex_10"}};

struct DeviceState {
  std::atomic<int> fault{kStandInNone};
  std::atomic<int> at{0};
  std::atomic<int> runs{0};
  std::atomic<bool> is_gone{false};
  std::atomic<int> process{0};  // the process that has it open
};
// The state that all processes share.
struct State {
  std::atomic<int> attached{kAttached};
  std::atomic<int> releases{0};
  std::atomic<int> open_delegates{0};
  std::atomic<int> open_ms{0};
  std::atomic<int> failing_open{0};  // every n-th opening of a USB device fails; 0: none
  std::atomic<int> usb_opens{0};
  DeviceState of[std::size(devices)];
};

State* map_state() {
  constexpr int kWritable = PROT_READ | PROT_WRITE;
  const char* const name = std::getenv("STAND_IN_STATE");
  const int file = name == nullptr ? -1 : open(name, O_RDWR | O_CLOEXEC);
  if (file < 0) return new State;
  struct stat status {};
  fstat(file, &status);
  const bool is_new = status.st_size == 0;
  if (is_new && ftruncate(file, sizeof(State)) != 0) std::abort();
  void* const memory = mmap(nullptr, sizeof(State), kWritable, MAP_SHARED, file, 0);
  close(file);
  return is_new ? new (memory) State : static_cast<State*>(memory);
}
State& state() {
  static State* const mapped = map_state();
  return *mapped;
}
DeviceState& state_of(const Device* device) { return state().of[device - devices]; }

}  // namespace
