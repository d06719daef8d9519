#include "runtime/edgetpu/device_process.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <link.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "base/internal/process/worker.h"
#include "runtime/edgetpu/protocol.h"
#include "runtime/port_checks.h"
#include "segue/error.h"
#include "segue/version.h"

namespace segue {
namespace {

namespace fs = std::filesystem;
using edgetpu::Answer;
using edgetpu::Request;
using edgetpu::TensorPlace;

MessageWriter begin(Request request) {
  MessageWriter message;
  message.number(static_cast<std::uint64_t>(request));
  return message;
}

// Returns the folder of the program or shared library that contains this function. The loader knows
// the program by the name with which it was started, which may be that of another file in the
// current folder.
fs::path own_folder() {
  Dl_info here{};
  link_map* loaded = nullptr;
  const bool is_known = ::dladdr1(reinterpret_cast<const void*>(&own_folder), &here,
                                  reinterpret_cast<void**>(&loaded), RTLD_DL_LINKMAP) != 0;
  const bool is_program = !is_known || loaded == nullptr || *loaded->l_name == '\0';
  std::error_code error;
  const fs::path file =
      is_program ? fs::read_symlink("/proc/self/exe", error) : fs::canonical(loaded->l_name, error);
  return file.parent_path();
}

fs::path find_program() {
  const fs::path folder = own_folder();
  std::error_code error;
  std::vector<std::string> tried;
  for (const char* place :
       {"segue-device", "../libexec/segue/segue-device", "../../libexec/segue/segue-device"}) {
    const fs::path program = (folder / place).lexically_normal();
    if (fs::exists(program, error)) return program;
    tried.push_back(program.string());
  }
  throw Error(ErrorCode::kDevice,
              fmt::format("the program segue-device, which runs each Edge TPU, is not at {}; "
                          "reinstall Segue, or copy the program there (C++: set "
                          "EdgeTpuOptions::program, or turn off PipelineOptions::own_processes)",
                          fmt::join(tried, " nor ")));
}

// Phrases for messages: when a process ended, and what it was doing.
constexpr std::string_view kWhile = "while";
constexpr std::string_view kBefore = "before";
constexpr std::string_view kOpensModel = "opened a model";
constexpr std::string_view kComputes = "computed";

// The connection to a device process. Thread-safe.
class DeviceProcess {
 public:
  DeviceProcess(const EdgeTpuLibraries& libraries, const EdgeTpuDevice& device,
                const EdgeTpuOptions& options, std::shared_ptr<const SharedMemory> memory)
      : name_(device.name()),
        memory_(std::move(memory)),
        worker_(options.program.empty() ? find_program() : options.program,
                "segue-device " + name_) {
    hello_ = begin(Request::kDevice);
    hello_.text(kVersion);
    edgetpu::put(hello_, libraries, device, options.settings);
  }

  // Starts opening the device and returns at once.
  void begin_opening() {
    const std::lock_guard lock(mutex_);
    if (description_.empty() && !is_opening_)
      is_opening_ = worker_.send(hello_.bytes(), memory_->opening_lock());
  }

  void kill() noexcept { worker_.kill(); }
  void ask_to_end() noexcept { worker_.ask_to_end(); }

  // Waits until the device is open. Tries again if opening failed before.
  std::string description() {
    const std::lock_guard lock(mutex_);
    wait_for_device();
    return description_;
  }

  struct Opened {
    std::uint64_t session = 0;
    std::vector<Port> inputs;
    std::vector<Port> outputs;
    std::vector<std::uint64_t> input_addresses;
    // Whether this process can access the tensors. Security modules and containers may forbid it.
    bool is_reachable = false;
  };
  Opened open(std::span<const std::byte> model, const std::string& name) {
    const MappedMemory file(model.size());
    std::ranges::copy(model, file.bytes().begin());
    MessageWriter message = begin(Request::kModel);
    message.text(name);
    message.number(model.size());
    const std::lock_guard lock(mutex_);
    wait_for_device();
    MessageReader answer = ask(message, kOpensModel, file.descriptor());
    Opened opened;
    opened.session = answer.number();
    opened.inputs = edgetpu::take_ports(answer);
    opened.outputs = edgetpu::take_ports(answer);
    for (std::size_t i = 0; i < opened.inputs.size(); ++i)
      opened.input_addresses.push_back(answer.number());
    std::byte first{};
    opened.is_reachable = !opened.inputs.empty() &&
                          worker_.read_memory(opened.input_addresses[0], std::span(&first, 1));
    return opened;
  }

  // Writes the value of an input, before the run.
  void write(std::span<const std::byte> value, std::uint64_t address) {
    if (!worker_.write_memory(value, address)) {
      const std::lock_guard lock(mutex_);
      fail_as_ended(kBefore, kComputes);
    }
  }

  // `outputs` has a place for each output, and a destination for those that stay in their tensors.
  void run(std::uint64_t session, std::span<const TensorPlace> inputs,
           std::span<const TensorPlace> outputs,
           std::span<const std::span<std::byte>> copied_outputs) {
    const std::lock_guard lock(mutex_);
    message_.clear();
    message_.number(static_cast<std::uint64_t>(Request::kRun));
    message_.number(session);
    for (const std::span<const TensorPlace> places : {inputs, outputs}) {
      message_.number(places.size());
      for (const TensorPlace& place : places) {
        if (place.chunk != TensorPlace::kInTensor) show_chunks(place.chunk);
        edgetpu::put(message_, place);
      }
    }
    MessageReader answer = ask(message_, kComputes);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].chunk == TensorPlace::kInTensor &&
          !worker_.read_memory(answer.number(), copied_outputs[i]))
        fail_as_ended(kWhile, kComputes);
    }
  }

  void close(std::uint64_t session) noexcept {
    try {
      MessageWriter message = begin(Request::kClose);
      message.number(session);
      const std::lock_guard lock(mutex_);
      (void)worker_.send(message.bytes());
    } catch (...) {
      // If there is no memory for the message, the session ends with the process.
    }
  }

 private:
  [[noreturn]] void fail_as_ended(std::string_view when, std::string_view doing) {
    const std::string end = worker_.end();
    const std::string words = worker_.last_words();
    std::string text = fmt::format("{}: the process of the device ended with {} {} it {}{}{}",
                                   name_, end, when, doing, words.empty() ? "" : ": ", words);
    // A typical effect of libraries of different versions.
    if (when == kWhile && doing == kOpensModel && end.starts_with("signal 11")) {
      text +=
          "; libedgetpu and the TensorFlow Lite runtime must be built from the same version of "
          "TensorFlow (`segue doctor` shows both versions)";
    }
    throw Error(ErrorCode::kDevice, text);
  }

  MessageReader wait_for_answer(std::string_view doing) {
    auto answer = worker_.receive();
    if (!answer) fail_as_ended(kWhile, doing);
    if (static_cast<Answer>(answer->number()) == Answer::kDone) return *answer;
    const auto code = static_cast<ErrorCode>(answer->number());
    const std::string text = answer->text();
    const std::string words = worker_.last_words();
    throw Error(code, words.empty() ? text : fmt::format("{} (its output: {})", text, words));
  }

  MessageReader ask(const MessageWriter& message, std::string_view doing, int file = -1) {
    if (!worker_.send(message.bytes(), file)) fail_as_ended(kBefore, doing);
    return wait_for_answer(doing);
  }

  void wait_for_device() {
    constexpr std::string_view kDoing = "opened the device";
    if (std::exchange(is_opening_, false)) {
      try {
        description_ = wait_for_answer(kDoing).text();
      } catch (const Error&) {
        // It failed in the background, perhaps because another program had the device.
      }
    }
    if (!description_.empty()) return;
    description_ = ask(hello_, kDoing, memory_->opening_lock()).text();
  }

  void show_chunks(std::size_t last) {
    for (; shown_chunks_ <= last; ++shown_chunks_) {
      const auto chunk = memory_->chunk(shown_chunks_);
      MessageWriter message = begin(Request::kChunk);
      message.number(chunk->bytes().size());
      if (!worker_.send(message.bytes(), chunk->descriptor())) fail_as_ended(kBefore, kComputes);
    }
  }

  std::string name_;
  std::shared_ptr<const SharedMemory> memory_;
  std::mutex mutex_;
  Worker worker_;
  bool is_opening_ = false;  // the device is opening; its answer has not been read
  MessageWriter hello_;
  std::string description_;
  std::size_t shown_chunks_ = 0;
  MessageWriter message_;
};

class ProcessSession : public Session {
 public:
  ProcessSession(std::shared_ptr<DeviceProcess> process, std::shared_ptr<SharedMemory> memory,
                 std::string name, DeviceProcess::Opened opened)
      : process_(std::move(process)),
        memory_(std::move(memory)),
        name_(std::move(name)),
        opened_(std::move(opened)) {
    if (opened_.is_reachable) return;
    stage(opened_.inputs, staged_inputs_);
    stage(opened_.outputs, staged_outputs_);
  }
  ~ProcessSession() override { process_->close(opened_.session); }

  [[nodiscard]] std::span<const Port> inputs() const override { return opened_.inputs; }
  [[nodiscard]] std::span<const Port> outputs() const override { return opened_.outputs; }

  void run_into(std::span<const std::span<const std::byte>> inputs,
                std::vector<TensorBytes>& outputs) override {
    std::vector<std::span<std::byte>> places;
    outputs.resize(opened_.outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].resize(opened_.outputs[i].bytes);
      places.emplace_back(outputs[i]);
    }
    run_to(inputs, places);
  }

  void run_to(std::span<const std::span<const std::byte>> inputs,
              std::span<const std::span<std::byte>> outputs) override {
    input_places_.clear();
    output_places_.clear();
    // Checked here, because values are written directly into the other process, which cannot check
    // them.
    check_inputs(name_, opened_.inputs, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      input_places_.push_back(place_of_input(inputs[i], i));
    for (std::size_t i = 0; i < outputs.size(); ++i)
      output_places_.push_back(place_of_output(outputs[i], i));
    process_->run(opened_.session, input_places_, output_places_, outputs);
    if (opened_.is_reachable) return;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!memory_->place_of(outputs[i]))
        std::ranges::copy(staged_outputs_[i].bytes(), outputs[i].begin());
    }
  }

 private:
  TensorPlace place_of_input(std::span<const std::byte> input, std::size_t position) {
    if (const auto place = memory_->place_of(input))
      return {place->chunk, place->offset, input.size()};
    if (!opened_.is_reachable) {
      SharedMemory::Block& staged = staged_inputs_[position];
      std::ranges::copy(input, staged.bytes().begin());
      return staged_place(staged);
    }
    process_->write(input, opened_.input_addresses[position]);
    return {TensorPlace::kInTensor, 0, input.size()};
  }

  TensorPlace place_of_output(std::span<const std::byte> output, std::size_t position) {
    if (const auto place = memory_->place_of(output))
      return {place->chunk, place->offset, output.size()};
    if (!opened_.is_reachable) return staged_place(staged_outputs_[position]);
    return {TensorPlace::kInTensor, 0, output.size()};
  }

  [[nodiscard]] TensorPlace staged_place(const SharedMemory::Block& staged) const {
    const auto place = memory_->place_of(staged.bytes());
    return {place->chunk, place->offset, staged.bytes().size()};
  }

  void stage(std::span<const Port> ports, std::vector<SharedMemory::Block>& blocks) {
    for (const Port& port : ports) blocks.push_back(memory_->allocate(port.bytes));
  }

  std::shared_ptr<DeviceProcess> process_;
  std::shared_ptr<SharedMemory> memory_;
  std::string name_;
  DeviceProcess::Opened opened_;
  // For values outside the shared memory, if the tensors cannot be accessed.
  std::vector<SharedMemory::Block> staged_inputs_;
  std::vector<SharedMemory::Block> staged_outputs_;
  std::vector<TensorPlace> input_places_;
  std::vector<TensorPlace> output_places_;
};

class ProcessBackend : public Backend {
 public:
  ProcessBackend(EdgeTpuLibraries libraries, EdgeTpuDevice device, EdgeTpuOptions options,
                 std::shared_ptr<SharedMemory> memory)
      : libraries_(std::move(libraries)),
        device_(std::move(device)),
        options_(std::move(options)),
        memory_(std::move(memory)) {}

  [[nodiscard]] bool wants_compiled() const override { return true; }
  [[nodiscard]] std::optional<double> temperature_c() const override {
    return read_temperature_c(device_, options_.sysfs);
  }
  [[nodiscard]] std::string description() const override { return process()->description(); }
  void prepare() const override {
    try {
      process()->begin_opening();
    } catch (...) {
      // Opening a model tries again and reports the failure.
    }
  }

  void give_up() const noexcept override {
    const std::lock_guard lock(mutex_);
    is_given_up_ = true;
    if (process_ != nullptr) process_->kill();
  }

  void release() const noexcept override {
    const std::lock_guard lock(mutex_);
    is_given_up_ = true;
    if (process_ != nullptr) process_->ask_to_end();
  }

  [[nodiscard]] std::unique_ptr<Session> open(std::span<const std::byte> model,
                                              const std::string& name) const override {
    auto used = process();
    auto opened = used->open(model, name);
    return std::make_unique<ProcessSession>(std::move(used), memory_, name, std::move(opened));
  }

 private:
  [[nodiscard]] std::shared_ptr<DeviceProcess> process() const {
    const std::lock_guard lock(mutex_);
    if (is_given_up_)
      throw Error(ErrorCode::kDevice,
                  device_.name() + ": the device is no longer used because it did not answer");
    if (process_ == nullptr)
      process_ = std::make_shared<DeviceProcess>(libraries_, device_, options_, memory_);
    return process_;
  }

  EdgeTpuLibraries libraries_;
  EdgeTpuDevice device_;
  EdgeTpuOptions options_;
  std::shared_ptr<SharedMemory> memory_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<DeviceProcess> process_;
  mutable bool is_given_up_ = false;
};

}  // namespace

std::shared_ptr<const Backend> make_edgetpu_process_backend(const EdgeTpuLibraries& libraries,
                                                            const EdgeTpuDevice& device,
                                                            const EdgeTpuOptions& options,
                                                            std::shared_ptr<SharedMemory> memory) {
  return std::make_shared<ProcessBackend>(libraries, device, options, std::move(memory));
}

}  // namespace segue
