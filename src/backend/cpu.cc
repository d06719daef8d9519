#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <type_traits>

#include "segue/backend.h"
#include "segue/error.h"

namespace segue {
namespace {

// Opaque types and functions of tensorflow/lite/c/c_api.h; only what we call.
struct TfLiteModel;
struct TfLiteInterpreterOptions;
struct TfLiteInterpreter;
struct TfLiteTensor;
using ErrorReporter = void (*)(void* user_data, const char* format, std::va_list args);

struct Api {
  const char* (*version)();
  TfLiteModel* (*model_create)(const void* data, std::size_t size);
  void (*model_delete)(TfLiteModel*);
  TfLiteInterpreterOptions* (*options_create)();
  void (*options_delete)(TfLiteInterpreterOptions*);
  void (*options_set_threads)(TfLiteInterpreterOptions*, std::int32_t);
  void (*options_set_reporter)(TfLiteInterpreterOptions*, ErrorReporter, void*);
  TfLiteInterpreter* (*interpreter_create)(const TfLiteModel*, const TfLiteInterpreterOptions*);
  void (*interpreter_delete)(TfLiteInterpreter*);
  int (*allocate)(TfLiteInterpreter*);
  int (*invoke)(TfLiteInterpreter*);
  std::int32_t (*input_count)(const TfLiteInterpreter*);
  TfLiteTensor* (*input)(const TfLiteInterpreter*, std::int32_t);
  std::int32_t (*output_count)(const TfLiteInterpreter*);
  const TfLiteTensor* (*output)(const TfLiteInterpreter*, std::int32_t);
  int (*tensor_type)(const TfLiteTensor*);
  std::int32_t (*tensor_rank)(const TfLiteTensor*);
  std::int32_t (*tensor_extent)(const TfLiteTensor*, std::int32_t);
  std::size_t (*tensor_bytes)(const TfLiteTensor*);
  const char* (*tensor_name)(const TfLiteTensor*);
  int (*copy_in)(TfLiteTensor*, const void*, std::size_t);
  int (*copy_out)(const TfLiteTensor*, void*, std::size_t);
};

// The code stays in memory (RTLD_NODELETE): runtimes keep threads and statics of their own.
struct LibraryCloser {
  void operator()(void* library) const { ::dlclose(library); }
};
using Library = std::unique_ptr<void, LibraryCloser>;

// The C API numbers tensor types in its own order.
ElementType element_type(int c_type) {
  static const std::map<int, int> kFormatNumbers{
      {1, 0},  {2, 2},   {3, 3},   {4, 4},   {5, 5},   {6, 6},   {7, 7},   {8, 8},   {9, 9},
      {10, 1}, {11, 10}, {12, 11}, {13, 12}, {14, 13}, {15, 14}, {16, 15}, {17, 16}, {18, 17}};
  const auto found = kFormatNumbers.find(c_type);
  return static_cast<ElementType>(found == kFormatNumbers.end() ? 0 : found->second);
}

template <typename Function>
void load(void* library, const char* name, Function& function, std::vector<std::string>& missing) {
  static_assert(std::is_pointer_v<Function>);
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) missing.emplace_back(name);
}

std::vector<std::string> load_api(void* library, Api& api) {
  std::vector<std::string> missing;
  load(library, "TfLiteVersion", api.version, missing);
  load(library, "TfLiteModelCreate", api.model_create, missing);
  load(library, "TfLiteModelDelete", api.model_delete, missing);
  load(library, "TfLiteInterpreterOptionsCreate", api.options_create, missing);
  load(library, "TfLiteInterpreterOptionsDelete", api.options_delete, missing);
  load(library, "TfLiteInterpreterOptionsSetNumThreads", api.options_set_threads, missing);
  load(library, "TfLiteInterpreterOptionsSetErrorReporter", api.options_set_reporter, missing);
  load(library, "TfLiteInterpreterCreate", api.interpreter_create, missing);
  load(library, "TfLiteInterpreterDelete", api.interpreter_delete, missing);
  load(library, "TfLiteInterpreterAllocateTensors", api.allocate, missing);
  load(library, "TfLiteInterpreterInvoke", api.invoke, missing);
  load(library, "TfLiteInterpreterGetInputTensorCount", api.input_count, missing);
  load(library, "TfLiteInterpreterGetInputTensor", api.input, missing);
  load(library, "TfLiteInterpreterGetOutputTensorCount", api.output_count, missing);
  load(library, "TfLiteInterpreterGetOutputTensor", api.output, missing);
  load(library, "TfLiteTensorType", api.tensor_type, missing);
  load(library, "TfLiteTensorNumDims", api.tensor_rank, missing);
  load(library, "TfLiteTensorDim", api.tensor_extent, missing);
  load(library, "TfLiteTensorByteSize", api.tensor_bytes, missing);
  load(library, "TfLiteTensorName", api.tensor_name, missing);
  load(library, "TfLiteTensorCopyFromBuffer", api.copy_in, missing);
  load(library, "TfLiteTensorCopyToBuffer", api.copy_out, missing);
  return missing;
}

// Collects what the runtime says, for the message of the Error that follows.
struct Messages {
  std::string text;
  static void append(void* self, const char* format, std::va_list args) {
    constexpr std::size_t kLongest = 512;
    std::array<char, kLongest> line{};
    std::vsnprintf(line.data(), line.size(), format, args);
    std::string& text = static_cast<Messages*>(self)->text;
    if (!text.empty()) text += " / ";
    text += line.data();
  }
};

class CpuSession : public Session {
 public:
  CpuSession(const Api& api, int threads, std::span<const std::byte> model, std::string name)
      : api_(api),
        name_(std::move(name)),
        model_(api.model_create(model.data(), model.size()), api.model_delete),
        interpreter_(nullptr, api.interpreter_delete) {
    if (!model_) fail("does not accept the file");
    const std::unique_ptr<TfLiteInterpreterOptions, void (*)(TfLiteInterpreterOptions*)> options(
        api_.options_create(), api_.options_delete);
    api_.options_set_threads(options.get(), threads);
    api_.options_set_reporter(options.get(), &Messages::append, &messages_);
    interpreter_.reset(api_.interpreter_create(model_.get(), options.get()));
    if (!interpreter_) fail("cannot prepare the model");
    if (api_.allocate(interpreter_.get()) != 0) fail("cannot allocate the tensors");
    for (std::int32_t i = 0; i < api_.input_count(interpreter_.get()); ++i) {
      inputs_.push_back(describe(api_.input(interpreter_.get(), i)));
    }
    for (std::int32_t i = 0; i < api_.output_count(interpreter_.get()); ++i) {
      outputs_.push_back(describe(api_.output(interpreter_.get(), i)));
    }
  }

  [[nodiscard]] std::span<const Port> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const Port> outputs() const override { return outputs_; }

  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    check_sizes(inputs);
    messages_.text.clear();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      TfLiteTensor* tensor = api_.input(interpreter_.get(), static_cast<std::int32_t>(i));
      if (api_.copy_in(tensor, inputs[i].data(), inputs[i].size()) != 0)
        fail("cannot set the inputs");
    }
    if (api_.invoke(interpreter_.get()) != 0) fail("cannot run the model");
    outputs.resize(outputs_.size());
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const TfLiteTensor* tensor = api_.output(interpreter_.get(), static_cast<std::int32_t>(i));
      // Sizes of dynamic outputs are known only now.
      outputs[i].resize(api_.tensor_bytes(tensor));
      if (api_.copy_out(tensor, outputs[i].data(), outputs[i].size()) != 0)
        fail("cannot read the outputs");
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel,
                fmt::format("{}: TensorFlow Lite {} {}{}{}", name_, api_.version(), what,
                            messages_.text.empty() ? "" : ": ", messages_.text));
  }

  [[nodiscard]] Port describe(const TfLiteTensor* tensor) const {
    Port port;
    const char* name = api_.tensor_name(tensor);
    port.name = name == nullptr ? "" : name;
    port.type = element_type(api_.tensor_type(tensor));
    for (std::int32_t i = 0; i < api_.tensor_rank(tensor); ++i)
      port.shape.push_back(api_.tensor_extent(tensor, i));
    port.bytes = api_.tensor_bytes(tensor);
    return port;
  }

  void check_sizes(std::span<const std::span<const std::byte>> inputs) const {
    if (inputs.size() != inputs_.size()) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {} inputs given, the model has {}",
                                                           name_, inputs.size(), inputs_.size()));
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].size() == inputs_[i].bytes) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: input '{}' has {} bytes, {} given", name_, inputs_[i].name,
                              inputs_[i].bytes, inputs[i].size()));
    }
  }

  const Api& api_;
  std::string name_;
  Messages messages_;
  std::unique_ptr<TfLiteModel, void (*)(TfLiteModel*)> model_;
  std::unique_ptr<TfLiteInterpreter, void (*)(TfLiteInterpreter*)> interpreter_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
};

class CpuBackend : public Backend {
 public:
  CpuBackend(Library library, const Api& api, int threads)
      : library_(std::move(library)), api_(api), threads_(threads) {}

  [[nodiscard]] std::string description() const override {
    return fmt::format("TensorFlow Lite {} on the CPU", api_.version());
  }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    return std::make_unique<CpuSession>(api_, threads_, model, name);
  }

 private:
  Library library_;
  Api api_;
  int threads_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  std::vector<std::string> reasons;
  for (const auto& path : options.libraries) {
    Library library(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE));
    if (!library) {
      const char* reason = ::dlerror();
      reasons.push_back(fmt::format("{}", reason == nullptr ? path.string() : reason));
      continue;
    }
    Api api{};
    const auto missing = load_api(library.get(), api);
    if (missing.empty())
      return std::make_unique<CpuBackend>(std::move(library), api, options.threads);
    reasons.push_back(fmt::format("{}: lacks {}", path.string(), fmt::join(missing, ", ")));
  }
  throw Error(
      ErrorCode::kDevice,
      fmt::format("no TensorFlow Lite runtime found: {}; install libtensorflowlite_c.so or name it "
                  "with --runtime or SEGUE_TFLITE_LIB",
                  fmt::join(reasons, "; ")));
}

}  // namespace segue
