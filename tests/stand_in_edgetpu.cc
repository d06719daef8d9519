// A stand-in for libedgetpu: three devices or as many as it is told, whose delegate takes the
// operators "edgetpu-custom-op". Of a file of the stand-in compiler it runs the model that the
// operator carries, or takes as long as the file says; of others it adds 1 to every byte of the
// input. All other operators stay with the runtime. Devices can be told to fail. Structures as
// TensorFlow Lite 2.21 has them (tensorflow/lite/c/common.h); only what is touched has a name.
#include "stand_in_edgetpu.h"

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

struct IntArray {
  int size;
  int data[1];  // size of them
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

struct Device {
  int type;
  const char* path;
  std::atomic<int> fault{kStandInNone};
  std::atomic<int> at{0};
  std::atomic<int> runs{0};
  std::atomic<bool> is_gone{false};
};
constexpr int kAttached = 3;  // unless a test attaches more
Device devices[] = {{0, "/dev/apex_0"}, {0, "/dev/apex_1"}, {1, "/sys/bus/usb/devices/2-1"},
                    {0, "/dev/apex_2"}, {0, "/dev/apex_3"}, {0, "/dev/apex_4"},
                    {0, "/dev/apex_5"}, {0, "/dev/apex_6"}, {0, "/dev/apex_7"},
                    {0, "/dev/apex_8"}, {0, "/dev/apex_9"}, {0, "/dev/apex_10"}};
std::atomic<int> attached{kAttached};
std::atomic<int> releases{0};
std::atomic<int> open_delegates{0};

// Whether the computation may go on.
bool survive(Device& device) {
  if (device.is_gone) return false;
  if (device.runs++ != device.at) return true;
  switch (device.fault.load()) {
    case kStandInError:
      return false;
    case kStandInHang:
      releases.wait(releases);
      return true;
    case kStandInLate:
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return true;
    case kStandInVanish:
      device.is_gone = true;
      return false;
    default:
      return true;
  }
}

// A function of the runtime that tests use.
template <typename Function>
Function* runtime(const char* name) {
  static void* const library = dlopen(SEGUE_TEST_RUNTIME, RTLD_NOW);
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// The model that a compiled operator carries, run by the runtime on the CPU.
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

// What a delegate holds of the operators it took.
struct Kernel {
  Device* device = nullptr;
  std::unique_ptr<Program> program;
};

int invoke(Context* context, Node* node) {
  auto* kernel = static_cast<Kernel*>(node->user_data);
  if (!survive(*kernel->device)) {
    context->report_error(context, "transfer on tag 2 failed. Abort. generic::unavailable");
    return 1;
  }
  if (kernel->program != nullptr) return kernel->program->run(context);
  const Tensor& input = context->tensors[node->inputs->data[0]];
  for (int o = 0; o < node->outputs->size; ++o) {
    const Tensor& output = context->tensors[node->outputs->data[o]];
    for (std::size_t i = 0; i < output.bytes; ++i) {
      static_cast<unsigned char*>(output.data)[i] = static_cast<unsigned char>(
          (input.bytes > 0 ? static_cast<unsigned char*>(input.data)[i % input.bytes] : 0) + 1);
    }
  }
  return 0;
}

struct Params {  // TfLiteDelegateParams
  Delegate* delegate;
  IntArray* nodes;
};

int prepare(Context* context, Delegate* delegate) {
  auto* device = static_cast<Device*>(delegate->data);
  if (device->fault == kStandInCrash) std::raise(SIGSEGV);
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
    auto* taken = new Kernel{static_cast<Device*>(params->delegate->data), nullptr};
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

// STAND_IN_VANISHES=1:5: device 1 is gone at its sixth computation; for programs of their own.
void obey_environment() {
  const char* text = std::getenv("STAND_IN_VANISHES");
  if (text == nullptr || std::strlen(text) < 3) return;
  Device& device = devices[(text[0] - '0') % 3];
  device.at = std::atoi(text + 2);
  device.fault = kStandInVanish;
}

edgetpu_device* edgetpu_list_devices(std::size_t* count) {
  obey_environment();
  auto* list =
      static_cast<edgetpu_device*>(std::calloc(std::size(devices), sizeof(edgetpu_device)));
  *count = 0;
  for (int i = 0; i < attached; ++i) {
    if (!devices[i].is_gone) list[(*count)++] = {devices[i].type, devices[i].path};
  }
  return list;
}
void edgetpu_free_devices(edgetpu_device* list) { std::free(list); }

Delegate* edgetpu_create_delegate(int type, const char* path, const edgetpu_option*, std::size_t) {
  for (Device& device : devices) {
    if (device.is_gone || device.type != type || std::string(device.path) != path) continue;
    ++open_delegates;
    return new Delegate{&device, prepare, nullptr, nullptr, nullptr, kAllowsDynamicTensors,
                        nullptr};
  }
  return nullptr;
}
void edgetpu_free_delegate(Delegate* delegate) {
  --open_delegates;
  delete delegate;
}
const char* edgetpu_version() {
  return "BuildLabel(TENSORFLOW_COMMIT=stand-in), RuntimeVersion(14)";
}

void stand_in_attach(int count) { attached = count; }
void stand_in_reset() {
  attached = kAttached;
  for (Device& device : devices) {
    device.fault = kStandInNone;
    device.runs = 0;
    device.is_gone = false;
  }
}
void stand_in_fail(int device, int fault, int at) {
  devices[device].at = at;
  devices[device].fault = fault;
}
void stand_in_release() {
  ++releases;
  releases.notify_all();
}
int stand_in_open_delegates() { return open_delegates; }
}
