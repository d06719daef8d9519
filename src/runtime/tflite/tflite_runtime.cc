#include "runtime/tflite/tflite_runtime.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstdio>
#include <map>
#include <type_traits>

#include "runtime/port_checks.h"
#include "segue/units.h"

namespace segue {
namespace {

constexpr std::array kFunctions{"TfLiteVersion",
                                "TfLiteModelCreate",
                                "TfLiteModelDelete",
                                "TfLiteInterpreterOptionsCreate",
                                "TfLiteInterpreterOptionsDelete",
                                "TfLiteInterpreterOptionsSetNumThreads",
                                "TfLiteInterpreterOptionsSetErrorReporter",
                                "TfLiteInterpreterOptionsAddDelegate",
                                "TfLiteInterpreterCreate",
                                "TfLiteInterpreterDelete",
                                "TfLiteInterpreterAllocateTensors",
                                "TfLiteInterpreterInvoke",
                                "TfLiteInterpreterGetInputTensorCount",
                                "TfLiteInterpreterGetInputTensor",
                                "TfLiteInterpreterGetOutputTensorCount",
                                "TfLiteInterpreterGetOutputTensor",
                                "TfLiteTensorType",
                                "TfLiteTensorNumDims",
                                "TfLiteTensorDim",
                                "TfLiteTensorByteSize",
                                "TfLiteTensorData",
                                "TfLiteTensorName",
                                "TfLiteTensorCopyFromBuffer",
                                "TfLiteTensorCopyToBuffer"};

// The runtime writes lines such as "Created TensorFlow Lite XNNPACK delegate for CPU" to stderr.
// tflite::LoggerOptions::SetMinimumLogSeverity suppresses them, if the library exports it. The
// value 2 is kTfLiteLogError up to version 2.13 and kTfLiteLogWarning since.
void silence_information(const Library& library) {
  constexpr int kWarningOrError = 2;
  int (*set_minimum_severity)(int) = nullptr;
  library.get("_ZN6tflite13LoggerOptions21SetMinimumLogSeverityENS_11LogSeverityE",
              set_minimum_severity);
  if (set_minimum_severity != nullptr) set_minimum_severity(kWarningOrError);
}

// Converts a tensor type of the C API, which numbers types differently from the .tflite format.
ElementType element_type(int c_type) {
  static const std::map<int, int> kFormatNumbers{
      {1, 0},  {2, 2},   {3, 3},   {4, 4},   {5, 5},   {6, 6},   {7, 7},   {8, 8},   {9, 9},
      {10, 1}, {11, 10}, {12, 11}, {13, 12}, {14, 13}, {15, 14}, {16, 15}, {17, 16}, {18, 17}};
  const auto found = kFormatNumbers.find(c_type);
  return static_cast<ElementType>(found == kFormatNumbers.end() ? 0 : found->second);
}

// Collects the runtime's messages for the Error that follows.
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

// Returns the package of a library. libedgetpu needs libusb even for devices on PCIe.
std::string package_of(const std::string& library) {
  return library.starts_with("libusb-1.0.so") ? "libusb-1.0-0 (libusb1 on Fedora)" : library;
}

class InterpreterSession : public TfLiteSession {
 public:
  InterpreterSession(std::shared_ptr<const TfLiteRuntime> runtime, std::span<const std::byte> model,
                     std::string name, DelegatePointer delegate,
                     const TfLiteSessionOptions& session)
      : runtime_(std::move(runtime)),
        api_(runtime_->api),
        name_(std::move(name)),
        delegate_(std::move(delegate)),
        model_(create_model(model), api_.model_delete),
        interpreter_(nullptr, api_.interpreter_delete) {
    if (!model_) fail("does not accept the file");
    const std::unique_ptr<TfLiteInterpreterOptions, void (*)(TfLiteInterpreterOptions*)> options(
        api_.options_create(), api_.options_delete);
    api_.options_set_threads(options.get(), session.threads);
    if (delegate_) api_.options_add_delegate(options.get(), delegate_.get());
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
    error_ = session.run_error;
  }

  [[nodiscard]] std::span<const Port> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const Port> outputs() const override { return outputs_; }

  [[nodiscard]] std::span<std::byte> input_memory(std::size_t position) const override {
    const TfLiteTensor* tensor =
        api_.input(interpreter_.get(), static_cast<std::int32_t>(position));
    return {static_cast<std::byte*>(api_.tensor_data(tensor)), api_.tensor_bytes(tensor)};
  }
  [[nodiscard]] std::span<const std::byte> output_memory(std::size_t position) const override {
    const TfLiteTensor* tensor = output(position);
    return {static_cast<const std::byte*>(api_.tensor_data(tensor)), api_.tensor_bytes(tensor)};
  }

  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    compute(inputs);
    outputs.resize(outputs_.size());
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      // Sizes of dynamic outputs are known only now.
      outputs[i].resize(api_.tensor_bytes(output(i)));
      copy_out(i, outputs[i]);
    }
  }

  void run_to(std::span<const std::span<const std::byte>> inputs,
              std::span<const std::span<std::byte>> outputs) override {
    compute(inputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const bool stays = outputs[i].data() == nullptr && outputs_.at(i).bytes > 0;
      check_output_size(outputs_.at(i), api_.tensor_bytes(output(i)),
                        stays ? outputs_[i].bytes : outputs[i].size());
      if (!stays) copy_out(i, outputs[i]);
    }
  }

 private:
  TfLiteModel* create_model(std::span<const std::byte> model) {
    if (api_.model_create_reporting == nullptr)
      return api_.model_create(model.data(), model.size());
    return api_.model_create_reporting(model.data(), model.size(), &Messages::append, &messages_);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(error_, fmt::format("{}: TensorFlow Lite {} {}{}{}", name_, api_.version(), what,
                                    messages_.text.empty() ? "" : ": ", messages_.text));
  }

  void compute(std::span<const std::span<const std::byte>> inputs) {
    check_inputs(name_, inputs_, inputs);
    messages_.text.clear();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      TfLiteTensor* tensor = api_.input(interpreter_.get(), static_cast<std::int32_t>(i));
      if (inputs[i].data() == api_.tensor_data(tensor)) continue;
      if (api_.copy_in(tensor, inputs[i].data(), inputs[i].size()) != 0)
        fail("cannot set the inputs");
    }
    if (api_.invoke(interpreter_.get()) != 0) fail("cannot run the model");
  }

  [[nodiscard]] const TfLiteTensor* output(std::size_t position) const {
    return api_.output(interpreter_.get(), static_cast<std::int32_t>(position));
  }

  void copy_out(std::size_t position, std::span<std::byte> to) const {
    if (api_.copy_out(output(position), to.data(), to.size()) != 0) fail("cannot read the outputs");
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

  std::shared_ptr<const TfLiteRuntime> runtime_;
  const TfLiteApi& api_;
  std::string name_;
  Messages messages_;
  ErrorCode error_ = ErrorCode::kInvalidModel;
  DelegatePointer delegate_;
  std::unique_ptr<TfLiteModel, void (*)(TfLiteModel*)> model_;
  std::unique_ptr<TfLiteInterpreter, void (*)(TfLiteInterpreter*)> interpreter_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
};

}  // namespace

std::string missing_dependency(const std::string& reason, const std::filesystem::path& candidate) {
  constexpr std::string_view kGlibc = ": cannot open shared object file";
  constexpr std::string_view kMusl = "Error loading shared library ";
  std::string name;
  if (const auto end = reason.find(kGlibc); end != std::string::npos) {
    name = reason.substr(0, end);
  } else if (reason.starts_with(kMusl) && reason.find("(needed by ") != std::string::npos) {
    name = reason.substr(kMusl.size(), reason.find(':') - kMusl.size());
  }
  return name == candidate.string() ? "" : name;
}

void Library::Closer::operator()(void* library) const { ::dlclose(library); }

Library::Library(std::span<const std::filesystem::path> candidates,
                 std::span<const char* const> functions, const std::string& what,
                 const std::string& remedy) {
  std::vector<std::string> reasons;
  std::string needed;
  for (const auto& candidate : candidates) {
    library_.reset(::dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE));
    path_ = candidate;
    if (!library_) {
      const char* text = ::dlerror();
      std::string reason = text == nullptr ? candidate.string() : text;
      if (const std::string missing = missing_dependency(reason, candidate); !missing.empty()) {
        needed = missing;
        reason = fmt::format("{} needs {}, which is missing", candidate.string(), missing);
      }
      reasons.push_back(std::move(reason));
      continue;
    }
    std::vector<std::string> missing;
    for (const char* function : functions) {
      if (find(function) == nullptr) missing.emplace_back(function);
    }
    if (missing.empty()) return;
    reasons.push_back(
        missing.size() == functions.size()
            ? fmt::format("{}: not the expected library", candidate.string())
            : fmt::format("{}: lacks {}", candidate.string(), fmt::join(missing, ", ")));
  }
  throw Error(ErrorCode::kDevice,
              needed.empty()
                  ? fmt::format("no {} found: {}; {}", what, fmt::join(reasons, "; "), remedy)
                  : fmt::format("cannot load any {}: {}; install {}", what,
                                fmt::join(reasons, "; "), package_of(needed)));
}

void* Library::find(const char* function) const { return ::dlsym(library_.get(), function); }

TfLiteRuntime::TfLiteRuntime(std::span<const std::filesystem::path> candidates)
    : library(
          candidates, kFunctions, "TensorFlow Lite runtime",
          "install libtensorflowlite_c.so, or set its path with --runtime or SEGUE_TFLITE_LIB") {
  library.get("TfLiteVersion", api.version);
  library.get("TfLiteModelCreate", api.model_create);
  library.get("TfLiteModelCreateWithErrorReporter", api.model_create_reporting);
  library.get("TfLiteModelDelete", api.model_delete);
  library.get("TfLiteInterpreterOptionsCreate", api.options_create);
  library.get("TfLiteInterpreterOptionsDelete", api.options_delete);
  library.get("TfLiteInterpreterOptionsSetNumThreads", api.options_set_threads);
  library.get("TfLiteInterpreterOptionsSetErrorReporter", api.options_set_reporter);
  library.get("TfLiteInterpreterOptionsAddDelegate", api.options_add_delegate);
  library.get("TfLiteInterpreterCreate", api.interpreter_create);
  library.get("TfLiteInterpreterDelete", api.interpreter_delete);
  library.get("TfLiteInterpreterAllocateTensors", api.allocate);
  library.get("TfLiteInterpreterInvoke", api.invoke);
  library.get("TfLiteInterpreterGetInputTensorCount", api.input_count);
  library.get("TfLiteInterpreterGetInputTensor", api.input);
  library.get("TfLiteInterpreterGetOutputTensorCount", api.output_count);
  library.get("TfLiteInterpreterGetOutputTensor", api.output);
  library.get("TfLiteTensorType", api.tensor_type);
  library.get("TfLiteTensorNumDims", api.tensor_rank);
  library.get("TfLiteTensorDim", api.tensor_extent);
  library.get("TfLiteTensorByteSize", api.tensor_bytes);
  library.get("TfLiteTensorData", api.tensor_data);
  library.get("TfLiteTensorName", api.tensor_name);
  library.get("TfLiteTensorCopyFromBuffer", api.copy_in);
  library.get("TfLiteTensorCopyToBuffer", api.copy_out);
  library.get("TfLiteXNNPackDelegateCreate", api.xnnpack_create);
  library.get("TfLiteXNNPackDelegateDelete", api.xnnpack_delete);
  silence_information(library);
}

std::unique_ptr<TfLiteSession> open_tflite_session(std::shared_ptr<const TfLiteRuntime> runtime,
                                                   std::span<const std::byte> model,
                                                   const std::string& name,
                                                   DelegatePointer delegate,
                                                   const TfLiteSessionOptions& options) {
  return std::make_unique<InterpreterSession>(std::move(runtime), model, name, std::move(delegate),
                                              options);
}

}  // namespace segue
