// A Python function that threads of a pipeline call.
#pragma once

#include <memory>
#include <utility>

#include "module.h"

namespace segue::python {

// A Python function; its callers do not hold the interpreter's lock, which is taken to call and
// free it. Copies share the function. The owner lets the garbage collector visit and clear it,
// because a function often refers to the object that owns the pipeline.
class Callback {
 public:
  explicit Callback(nb::callable function)
      : function_(new nb::object(std::move(function)), [](nb::object* freed) {
          const nb::gil_scoped_acquire held;
          delete freed;
        }) {}

  template <typename... Arguments>
  void operator()(const Arguments&... arguments) const {
    const nb::gil_scoped_acquire held;
    const nb::object function = *function_;  // a reference that `clear` does not drop
    if (!function.is_valid()) return;
    try {
      function(arguments...);
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("segue.Pipeline, on_loss");
    }
  }

  // The caller of `function` and `clear` must hold the interpreter's lock.
  [[nodiscard]] nb::handle function() const { return *function_; }
  void clear() const { const nb::object dropped = std::move(*function_); }

 private:
  std::shared_ptr<nb::object> function_;
};

}  // namespace segue::python
