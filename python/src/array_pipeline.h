// A pipeline with arrays as inputs and outputs, for Python. Arrays are not copied, and waiting
// threads do not hold the interpreter's lock.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "callback.h"
#include "module.h"
#include "released.h"
#include "segue/error.h"
#include "segue/pipeline.h"
#include "session.h"

namespace segue::python {

struct Result {
  std::uint64_t number = 0;
  std::int64_t latency_ns = 0;
  nb::dict outputs;
};

[[nodiscard]] inline Nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::duration_cast<Nanoseconds>(
      std::chrono::duration<double>(std::clamp(seconds, 0.0, to_s(kLongestWait))));
}

class ArrayPipeline {
 public:
  // The caller must not hold the interpreter's lock, because Python functions may be opened as
  // segments. `on_loss` is the callback of the pipeline's options.
  ArrayPipeline(std::shared_ptr<Pipeline> pipeline, std::optional<Callback> on_loss)
      : on_loss_(std::move(on_loss)), pipeline_(std::move(pipeline)) {
    const nb::gil_scoped_acquire held;
    input_names_ = names_of(pipeline_->inputs());
    output_names_ = names_of(pipeline_->outputs());
  }
  ArrayPipeline(const ArrayPipeline&) = delete;
  ArrayPipeline& operator=(const ArrayPipeline&) = delete;
  ~ArrayPipeline() {
    if (::getpid() != process_) {  // a forked child does not have these threads
      (void)new std::shared_ptr<Pipeline>(std::move(pipeline_));
      return;
    }
    {
      nb::gil_scoped_release released;
      pipeline_.reset();
    }
    released_->end();
  }

  [[nodiscard]] Pipeline& pipeline() const { return *pipeline_; }
  [[nodiscard]] const std::optional<Callback>& on_loss() const { return on_loss_; }

  // Cancels and waits for the threads inside push and pop, which must leave these calls before the
  // program ends, while they can still take the interpreter's lock.
  void end() const {
    constexpr auto kLongest = std::chrono::seconds(5);
    constexpr auto kLook = std::chrono::milliseconds(1);
    const nb::gil_scoped_release released;
    pipeline_->cancel();
    const auto until = std::chrono::steady_clock::now() + kLongest;
    while (callers_ > 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(kLook);
  }

  // Pushes an array per input: by name, in order, or the only one. Returns whether the pipeline
  // took them in time.
  bool push(nb::handle inputs, std::optional<double> timeout_s) {
    released_->drop();
    std::vector<BorrowedTensor> tensors = borrow(arrays_of(inputs));
    const Flow flow = wait(timeout_s, [&](Nanoseconds slice) {
      return pipeline_->push_borrowed(std::move(tensors), slice);
    });
    if (flow == Flow::kClosed)
      throw Error(ErrorCode::kInvalidArgument, "the pipeline is closed and takes no more inputs");
    return flow == Flow::kOk;
  }

  // Returns nothing if the pipeline is closed and all results were popped. Raises TimeoutError.
  std::optional<Result> pop(std::optional<double> timeout_s) {
    PipelineResult result;
    const Flow flow =
        wait(timeout_s, [&](Nanoseconds slice) { return pipeline_->pop(result, slice); });
    released_->drop();
    if (flow == Flow::kClosed) return std::nullopt;
    if (flow == Flow::kTimeout) {
      PyErr_SetString(PyExc_TimeoutError, "no result within the timeout");
      throw nb::python_error();
    }
    Result answer{result.number, result.latency.count(), {}};
    const auto ports = pipeline_->outputs();
    for (std::size_t i = 0; i < ports.size(); ++i)
      answer.outputs[output_names_[i]] = to_array(std::move(result.outputs[i]), ports[i]);
    return answer;
  }

 private:
  [[noreturn]] void fail_on_count(std::size_t given) const {
    throw Error(ErrorCode::kInvalidArgument, std::to_string(given) +
                                                 " inputs given, but the pipeline has " +
                                                 std::to_string(pipeline_->inputs().size()));
  }

  InputArray array_of(nb::handle value, std::size_t position) const {
    try {
      return nb::cast<InputArray>(value);
    } catch (const nb::cast_error&) {
      if (position >= input_names_.size()) fail_on_count(position + 1);
      throw Error(ErrorCode::kInvalidArgument, "input '" + pipeline_->inputs()[position].name +
                                                   "': expected a numpy array, not " +
                                                   nb::type_name(value.type()).c_str());
    }
  }

  std::vector<InputArray> arrays_of(nb::handle inputs) const {
    std::vector<InputArray> arrays;
    if (nb::isinstance<nb::dict>(inputs)) {
      const nb::dict named = nb::borrow<nb::dict>(inputs);
      if (named.size() > input_names_.size()) fail_on_count(named.size());
      for (std::size_t i = 0; i < input_names_.size(); ++i) {
        if (!named.contains(input_names_[i])) {
          throw Error(ErrorCode::kInvalidArgument,
                      "input '" + pipeline_->inputs()[i].name + "' is missing in " +
                          nb::cast<std::string>(nb::repr(named.keys())));
        }
        arrays.push_back(array_of(named[input_names_[i]], i));
      }
    } else if (nb::isinstance<nb::list>(inputs) || nb::isinstance<nb::tuple>(inputs)) {
      for (const nb::handle array : inputs) arrays.push_back(array_of(array, arrays.size()));
    } else {
      arrays.push_back(array_of(inputs, 0));
    }
    if (arrays.size() != input_names_.size()) fail_on_count(arrays.size());
    return arrays;
  }

  std::vector<BorrowedTensor> borrow(std::vector<InputArray> given) const {
    auto arrays = std::make_unique<std::vector<InputArray>>(std::move(given));
    const auto ports = pipeline_->inputs();
    for (std::size_t i = 0; i < ports.size(); ++i) check_fits((*arrays)[i], ports[i]);
    const std::shared_ptr<std::vector<InputArray>> owner(
        arrays.release(),
        [released = released_](std::vector<InputArray>* all) { released->add(all); });
    std::vector<BorrowedTensor> tensors;
    for (const InputArray& array : *owner) {
      tensors.push_back({{static_cast<const std::byte*>(array.data()), array.nbytes()}, owner});
    }
    return tensors;
  }

  // Tries without the interpreter's lock, and takes the lock from time to time so that an interrupt
  // ends the wait.
  template <typename Try>
  Flow wait(std::optional<double> timeout_s, const Try& attempt) {
    const Inside inside(callers_);
    using Clock = std::chrono::steady_clock;
    constexpr Nanoseconds kSlice = std::chrono::milliseconds(100);
    if (timeout_s && std::isnan(*timeout_s))
      throw Error(ErrorCode::kInvalidArgument, "timeout_s is not a number; give seconds, or None");
    const auto begin = Clock::now();
    const Nanoseconds timeout = timeout_s ? nanoseconds_of(*timeout_s) : Nanoseconds::max();
    while (true) {
      const Nanoseconds left = timeout_s ? timeout - (Clock::now() - begin) : kSlice;
      const Nanoseconds slice = std::clamp(left, Nanoseconds(0), kSlice);
      Flow flow{};
      {
        nb::gil_scoped_release released;
        flow = attempt(slice);
      }
      if (flow != Flow::kTimeout || (timeout_s && left <= kSlice)) return flow;
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
  }

  // Counts a thread while it is inside a call.
  class Inside {
   public:
    explicit Inside(std::atomic<int>& count) : count_(count) { ++count_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { --count_; }

   private:
    std::atomic<int>& count_;
  };

  static std::vector<nb::str> names_of(std::span<const Port> ports) {
    std::vector<nb::str> names;
    for (const Port& port : ports) names.push_back(nb::cast<nb::str>(nb::cast(port.name)));
    return names;
  }

  std::atomic<int> callers_ = 0;
  std::vector<nb::str> input_names_;
  std::vector<nb::str> output_names_;
  std::optional<Callback> on_loss_;
  std::shared_ptr<Released> released_ = std::make_shared<Released>();
  std::shared_ptr<Pipeline> pipeline_;
  pid_t process_ = ::getpid();
};

}  // namespace segue::python
