// Keeps arrays that a pipeline borrowed until a thread with the interpreter's lock drops them.
#pragma once

#include <mutex>
#include <vector>

#include "module.h"

namespace segue::python {

inline int drop_arrays(void* arrays) {
  delete static_cast<std::vector<InputArray>*>(arrays);
  return 0;
}

// Holds arrays that the pipeline no longer reads. The pipeline's threads must not wait for the
// interpreter's lock, so they leave the arrays here. The next thread that has the lock drops them;
// after the pipeline's end, the main thread does.
class Released {
 public:
  void add(std::vector<InputArray>* arrays) {
    const std::lock_guard lock(mutex_);
    if (!has_ended_) {
      arrays_.push_back(arrays);
    } else if (Py_IsInitialized() != 0) {
      Py_AddPendingCall(drop_arrays, arrays);
    }
  }
  // drop is not called after this.
  void end() {
    {
      const std::lock_guard lock(mutex_);
      has_ended_ = true;
    }
    drop();
  }
  // The caller must hold the interpreter's lock.
  void drop() {
    std::vector<std::vector<InputArray>*> arrays;
    {
      const std::lock_guard lock(mutex_);
      if (arrays_.empty()) return;
      arrays.swap(arrays_);
    }
    for (const auto* one : arrays) delete one;
  }

 private:
  std::mutex mutex_;
  bool has_ended_ = false;
  std::vector<std::vector<InputArray>*> arrays_;
};

}  // namespace segue::python
