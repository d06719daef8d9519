// A stand-in for libedgetpu with three devices, or as many as a test attaches. Its delegate takes
// the operators "edgetpu-custom-op". For a file of the stand-in compiler, it runs the model that
// the operator contains, or takes as long as the file says. For other files, it adds 1 to every
// byte of the input. All other operators stay with the runtime. The structures are those of
// TensorFlow Lite 2.21 (tensorflow/lite/c/common.h); only used members have names.
//
// It behaves like the real library. A failed transfer ends the process. A device that computes
// holds its lock. Opening another device waits for that lock while holding the lock of all devices,
// for which the version waits, too. A device belongs to one process. The reason why opening failed
// is printed only at a raised verbosity.
//
// Tests can make devices fail. The state of the devices is in a file that all processes map whose
// variable STAND_IN_STATE contains the file's name.
#include "stand_in_edgetpu.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "stand_in_edgetpu_state.h"

namespace {

struct IntArray {
  int size;
  int data[1];  // has `size` elements
};
struct Tensor {
  int type;
  void* data;
  IntArray* dims;
  std::uint64_t quantization;
  int allocation_type;
  std::size_t bytes;
  char rest[64];
};
static_assert(sizeof(Tensor) == 112);
struct Node {
  IntArray* inputs;
  IntArray* outputs;
  IntArray* intermediates;
  IntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
};
struct Context;
struct Registration {
  void* (*init)(Context*, const char*, std::size_t);
  void (*free)(Context*, void*);
  int (*prepare)(Context*, Node*);
  int (*invoke)(Context*, Node*);
  const char* (*profiling_string)(const Context*, const Node*);
  std::int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* async_kernel;
  std::uint64_t inplace_operator;
};
struct Delegate;
struct Context {
  std::size_t tensors_size;
  int (*get_execution_plan)(Context*, IntArray**);
  Tensor* tensors;
  void* impl;
  void* resize_tensor;
  void (*report_error)(Context*, const char*, ...);
  void* add_tensors;
  int (*get_node)(Context*, int, Node**, Registration**);
  int (*replace_nodes)(Context*, Registration, const IntArray*, Delegate*);
};
struct Delegate {
  void* data;
  int (*prepare)(Context*, Delegate*);
  void* copy_from;
  void* copy_to;
  void* free_handle;
  std::int64_t flags;
  void* opaque_delegate_builder;
};
static_assert(sizeof(Registration) == 88);
static_assert(sizeof(Delegate) == 56);
constexpr std::int64_t kAllowsDynamicTensors = 1;

// These locks belong to this process, as in the real library.
std::mutex manager_lock;
std::mutex device_locks[std::size(devices)];
int verbosity = 0;

[[noreturn]] void fail_transfer() {
  std::fputs(
      "F driver/usb/usb_driver.cc:1150] transfer on tag 2 failed. Abort. "
      "generic::unavailable: USB transfer error 5 [LibUsbDataInCallback]\n",
      stderr);
  std::abort();
}

// Returns whether the computation continues, or performs the planned fault.
bool survive(const Device* which) {
  DeviceState& device = state_of(which);
  if (device.is_gone) fail_transfer();
  if (device.runs++ != device.at) return true;
  switch (device.fault.load()) {
    case kStandInError:
      return false;
    case kStandInAbort:
      fail_transfer();
    case kStandInHang:
      for (const int before = state().releases; state().releases == before;)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      return true;
    case kStandInLate:
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return true;
    case kStandInVanish:
      device.is_gone = true;
      fail_transfer();
    case kStandInExit:
      std::exit(0);
    default:
      return true;
  }
}

// Returns a function of the runtime that tests use.
template <typename Function>
Function* runtime(const char* name) {
  static void* const library = dlopen(SEGUE_TEST_RUNTIME, RTLD_NOW);
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// Runs the model that a compiled operator contains with the runtime on the CPU.
class Program {
 public:
  explicit Program(const Node& node)
      : inputs_(node.inputs->data, node.inputs->data + node.inputs->size),
        outputs_(node.outputs->data, node.outputs->data + node.outputs->size) {
    const auto* begin = static_cast<const char*>(node.custom_initial_data);
    std::memcpy(&lasts_ns_, begin + sizeof kStandInMark, sizeof lasts_ns_);
    bytes_.assign(begin + kHeaderBytes, begin + node.custom_initial_data_size);
    model_ =
        runtime<void*(const void*, std::size_t)>("TfLiteModelCreate")(bytes_.data(), bytes_.size());
    interpreter_ = runtime<void*(void*, void*)>("TfLiteInterpreterCreate")(model_, nullptr);
    runtime<int(void*)>("TfLiteInterpreterAllocateTensors")(interpreter_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    runtime<void(void*)>("TfLiteInterpreterDelete")(interpreter_);
    runtime<void(void*)>("TfLiteModelDelete")(model_);
  }

  static bool is_in(const Node& node) {
    return node.custom_initial_data_size > static_cast<int>(kHeaderBytes) &&
           std::memcmp(node.custom_initial_data, kStandInMark, sizeof kStandInMark) == 0;
  }

  int run(Context* context) {
    if (lasts_ns_ > 0) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(lasts_ns_));
      return 0;
    }
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      Tensor* to = runtime<Tensor*(void*, int)>("TfLiteInterpreterGetInputTensor")(
          interpreter_, static_cast<int>(i));
      std::memcpy(to->data, context->tensors[inputs_[i]].data, to->bytes);
    }
    if (runtime<int(void*)>("TfLiteInterpreterInvoke")(interpreter_) != 0) return 1;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Tensor* from = runtime<const Tensor*(void*, int)>("TfLiteInterpreterGetOutputTensor")(
          interpreter_, static_cast<int>(i));
      std::memcpy(context->tensors[outputs_[i]].data, from->data, from->bytes);
    }
    return 0;
  }

 private:
  static constexpr std::size_t kHeaderBytes = sizeof kStandInMark + sizeof(std::uint64_t);

  std::vector<int> inputs_;
  std::vector<int> outputs_;
  std::uint64_t lasts_ns_ = 0;
  std::vector<char> bytes_;
  void* model_ = nullptr;
  void* interpreter_ = nullptr;
};

// The delegate's data for an operator that it took.
struct Kernel {
  const Device* device = nullptr;
  std::unique_ptr<Program> program;
};

int invoke(Context* context, Node* node) {
  auto* kernel = static_cast<Kernel*>(node->user_data);
  const std::lock_guard lock(device_locks[kernel->device - devices]);
  if (!survive(kernel->device)) {
    context->report_error(context, "Failed to execute request. generic::unavailable");
    return 1;
  }
  if (kernel->program != nullptr) return kernel->program->run(context);
  const Tensor& input = context->tensors[node->inputs->data[0]];
  const auto* from = static_cast<const unsigned char*>(input.data);
  for (int o = 0; o < node->outputs->size; ++o) {
    const Tensor& output = context->tensors[node->outputs->data[o]];
    auto* to = static_cast<unsigned char*>(output.data);
    for (std::size_t done = 0; done < output.bytes;) {
      const std::size_t count = std::min(output.bytes - done, input.bytes);
      if (count == 0) break;
      for (std::size_t i = 0; i < count; ++i)
        to[done + i] = static_cast<unsigned char>(from[i] + 1);
      done += count;
    }
  }
  return 0;
}

struct Params {  // TfLiteDelegateParams
  Delegate* delegate;
  IntArray* nodes;
};

int prepare(Context* context, Delegate* delegate) {
  const auto* device = static_cast<const Device*>(delegate->data);
  if (state_of(device).fault == kStandInCrash) std::raise(SIGSEGV);
  IntArray* plan = nullptr;
  if (context->get_execution_plan(context, &plan) != 0) return 1;
  std::vector<int> ours{0};
  for (int i = 0; i < plan->size; ++i) {
    Node* node = nullptr;
    Registration* registration = nullptr;
    if (context->get_node(context, plan->data[i], &node, &registration) != 0) return 1;
    if (registration->custom_name != nullptr &&
        std::string(registration->custom_name) == "edgetpu-custom-op")
      ours.push_back(plan->data[i]);
  }
  ours[0] = static_cast<int>(ours.size()) - 1;
  if (ours[0] == 0) return 0;
  Registration kernel{};
  kernel.init = [](Context* of, const char* text, std::size_t) -> void* {
    const auto* params = reinterpret_cast<const Params*>(text);
    auto* taken = new Kernel{static_cast<const Device*>(params->delegate->data), nullptr};
    Node* node = nullptr;
    Registration* registration = nullptr;
    of->get_node(of, params->nodes->data[0], &node, &registration);
    if (Program::is_in(*node)) taken->program = std::make_unique<Program>(*node);
    return taken;
  };
  kernel.free = [](Context*, void* taken) { delete static_cast<Kernel*>(taken); };
  kernel.prepare = [](Context*, Node*) { return 0; };
  kernel.invoke = invoke;
  kernel.custom_name = "stand-in";
  kernel.version = 1;
  return context->replace_nodes(context, kernel, reinterpret_cast<IntArray*>(ours.data()),
                                delegate);
}

}  // namespace

extern "C" {

struct edgetpu_device {
  int type;
  const char* path;
};
struct edgetpu_option {
  const char* name;
  const char* value;
};

// Returns why the device does not open, or null if it opens.
static const char* why_not_open(const Device& device) {
  std::this_thread::sleep_for(std::chrono::milliseconds(state().open_ms));
  DeviceState& of = state_of(&device);
  if (of.is_gone) return "not found";
  const int holder = of.process;
  if (holder != 0 && holder != getpid() && kill(holder, 0) == 0) return "in use by another process";
  if (device.type == 0) return nullptr;
  const int opens = ++state().usb_opens;
  if (state().failing_open > 0 && opens % state().failing_open == 0)
    return "timed out while it waited for the device to come back";
  return nullptr;
}

// Environment variables control the stand-in in other programs. STAND_IN_VANISHES=1:5 lets device 1
// vanish at its sixth computation. STAND_IN_ATTACHED=1 leaves only device 0.
[[gnu::constructor]] static void obey_environment() {
  if (const char* count = std::getenv("STAND_IN_ATTACHED"); count != nullptr)
    state().attached = std::atoi(count);
  const char* text = std::getenv("STAND_IN_VANISHES");
  if (text == nullptr || std::strlen(text) < 3) return;
  DeviceState& device = state().of[(text[0] - '0') % 3];
  device.at = std::atoi(text + 2);
  device.fault = kStandInVanish;
}

edgetpu_device* edgetpu_list_devices(std::size_t* count) {
  auto* list =
      static_cast<edgetpu_device*>(std::calloc(std::size(devices), sizeof(edgetpu_device)));
  *count = 0;
  for (int i = 0; i < state().attached; ++i) {
    if (!state().of[i].is_gone) list[(*count)++] = {devices[i].type, devices[i].path};
  }
  return list;
}
void edgetpu_free_devices(edgetpu_device* list) { std::free(list); }

Delegate* edgetpu_create_delegate(int type, const char* path, const edgetpu_option*, std::size_t) {
  const std::lock_guard manager(manager_lock);
  // The real library asks the devices that this process has open, which waits for their locks.
  for (std::mutex& lock : device_locks) const std::lock_guard waits(lock);
  for (const Device& device : devices) {
    if (device.type != type || std::string(device.path) != path) continue;
    const char* const reason = why_not_open(device);
    if (reason == nullptr) {
      ++state().open_delegates;
      state_of(&device).process = getpid();
      return new Delegate{const_cast<Device*>(&device), prepare, nullptr, nullptr, nullptr,
                          kAllowsDynamicTensors,        nullptr};
    }
    if (verbosity > 0) std::fprintf(stderr, "I driver: %s: %s\n", path, reason);
  }
  return nullptr;
}
void edgetpu_free_delegate(Delegate* delegate) {
  const std::lock_guard manager(manager_lock);
  --state().open_delegates;
  state_of(static_cast<const Device*>(delegate->data)).process = 0;
  delete delegate;
}
const char* edgetpu_version() {
  const std::lock_guard manager(manager_lock);
  return "BuildLabel(TENSORFLOW_COMMIT=stand-in), RuntimeVersion(14)";
}
void edgetpu_verbosity(int level) { verbosity = level; }

void stand_in_attach(int count) { state().attached = count; }
void stand_in_reset() {
  state().attached = kAttached;
  state().open_ms = 0;
  state().failing_open = 0;
  state().usb_opens = 0;
  state().open_delegates = 0;
  for (DeviceState& device : state().of) {
    device.fault = kStandInNone;
    device.runs = 0;
    device.is_gone = false;
    device.process = 0;
  }
}
void stand_in_fail(int device, int fault, int at) {
  state().of[device].at = at;
  state().of[device].fault = fault;
}
void stand_in_release() { ++state().releases; }
int stand_in_open_delegates() { return state().open_delegates; }
int stand_in_process(int device) { return state().of[device].process; }
int stand_in_opens() { return state().usb_opens; }
void stand_in_slow_open(int milliseconds) { state().open_ms = milliseconds; }
void stand_in_fail_opens(int one_in) { state().failing_open = one_in; }
}
