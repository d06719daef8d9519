#include "runtime/edgetpu/serve.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/internal/process/message.h"
#include "base/internal/process/shared_memory.h"
#include "runtime/edgetpu/library_device.h"
#include "runtime/edgetpu/protocol.h"
#include "segue/error.h"
#include "segue/version.h"

namespace segue::edgetpu {
namespace {

struct OpenModel {
  std::unique_ptr<MappedMemory> bytes;
  std::unique_ptr<TfLiteSession> session;  // reads the bytes of the model
};

// A lock that one process of the pipeline holds while it opens its device. A stick that receives
// its firmware briefly leaves the bus, and another process might take it for its own.
class OpeningLock {
 public:
  explicit OpeningLock(int file) : file_(file) { set(F_WRLCK); }
  OpeningLock(const OpeningLock&) = delete;
  OpeningLock& operator=(const OpeningLock&) = delete;
  ~OpeningLock() { set(F_UNLCK); }

 private:
  void set(short kind) const {
    struct flock lock {};
    lock.l_type = kind;
    lock.l_whence = SEEK_SET;
    while (::fcntl(file_, F_SETLKW, &lock) != 0 && errno == EINTR) {
    }
  }
  int file_;
};

class Server {
 public:
  explicit Server(int socket) : socket_(socket) {}

  void run() {
    while (auto message = socket_.receive()) {
      answer_.clear();
      const auto request = static_cast<Request>(message->number());
      const bool is_answered = request != Request::kChunk && request != Request::kClose;
      try {
        perform(request, *message);
      } catch (const Error& error) {
        fail(error.code(), error.what());
      } catch (const std::exception& error) {
        fail(ErrorCode::kDevice, error.what());
      }
      if (is_answered && !socket_.send(answer_.bytes())) return;
    }
  }

 private:
  void fail(ErrorCode code, const char* text) {
    answer_.clear();
    answer_.number(static_cast<std::uint64_t>(Answer::kFailed));
    answer_.number(static_cast<std::uint64_t>(code));
    answer_.text(std::string_view(text).substr(0, MessageSocket::kLongest / 2));
  }

  void perform(Request request, MessageReader& from) {
    answer_.number(static_cast<std::uint64_t>(Answer::kDone));
    switch (request) {
      case Request::kDevice:
        return open_device(from);
      case Request::kModel:
        return open_model(from);
      case Request::kRun:
        return run_session(from);
      case Request::kChunk:
        // If a chunk cannot be mapped, requests that use it fail.
        chunks_.push_back(nullptr);
        chunks_.back() = std::make_unique<MappedMemory>(socket_.take_file(), from.number());
        chunks_.back()->close_file();
        return;
      case Request::kClose:
        models_.erase(from.number());
        return;
    }
    throw Error(ErrorCode::kInternal, "unknown request to the process of an Edge TPU");
  }

  void open_device(MessageReader& from) {
    const Descriptor lock(socket_.take_file());
    if (const std::string version = from.text(); version != kVersion) {
      throw Error(
          ErrorCode::kDevice,
          fmt::format(
              "segue-device has version {}, but the program that uses it has {}; reinstall both",
              kVersion, version));
    }
    EdgeTpuLibraries libraries;
    EdgeTpuDevice device;
    EdgeTpuSettings settings;
    take(from, libraries, device, settings);
    device_.emplace(libraries, device, std::move(settings), LibraryDevice::Errors::kCaptured);
    const OpeningLock opening(lock.number());
    opened_ = device_->open_device();
    answer_.text(device_->description());
  }

  void open_model(MessageReader& from) {
    const std::string name = from.text();
    OpenModel model;
    model.bytes = std::make_unique<MappedMemory>(socket_.take_file(), from.number());
    model.bytes->close_file();
    if (!opened_) opened_ = device_->open_device();
    model.session = device_->open(std::move(opened_), model.bytes->bytes(), name);
    answer_.number(next_model_);
    put(answer_, model.session->inputs());
    put(answer_, model.session->outputs());
    for (std::size_t i = 0; i < model.session->inputs().size(); ++i)
      answer_.number(address_of(model.session->input_memory(i)));
    models_.insert_or_assign(next_model_++, std::move(model));
  }

  void run_session(MessageReader& from) {
    TfLiteSession& session = *models_.at(from.number()).session;
    inputs_.clear();
    outputs_.clear();
    for (std::uint64_t left = from.number(); left > 0; --left) {
      const TensorPlace place = take_place(from);
      inputs_.push_back(place.chunk == TensorPlace::kInTensor ? session.input_memory(inputs_.size())
                                                              : bytes_at(place));
    }
    for (std::uint64_t left = from.number(); left > 0; --left) {
      const TensorPlace place = take_place(from);
      outputs_.push_back(place.chunk == TensorPlace::kInTensor ? std::span<std::byte>()
                                                               : bytes_at(place));
    }
    session.run_to(inputs_, outputs_);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (outputs_[i].data() == nullptr) answer_.number(address_of(session.output_memory(i)));
    }
  }

  static std::uint64_t address_of(std::span<const std::byte> bytes) {
    return reinterpret_cast<std::uintptr_t>(bytes.data());
  }

  [[nodiscard]] std::span<std::byte> bytes_at(const TensorPlace& place) const {
    const auto& chunk = chunks_.at(place.chunk);
    if (chunk == nullptr)
      throw Error(ErrorCode::kDevice, "out of memory for tensors in the process of the device");
    return chunk->bytes().subspan(place.offset, place.size);
  }

  MessageSocket socket_;
  MessageWriter answer_;
  std::optional<LibraryDevice> device_;
  DelegatePointer opened_;  // not yet used by a model
  std::vector<std::unique_ptr<MappedMemory>> chunks_;
  std::map<std::uint64_t, OpenModel> models_;
  std::uint64_t next_model_ = 0;
  std::vector<std::span<const std::byte>> inputs_;
  std::vector<std::span<std::byte>> outputs_;
};

}  // namespace

void serve(int socket) { Server(socket).run(); }

}  // namespace segue::edgetpu
