// The time of an output as the largest of some lines: convex in its bytes.
#pragma once

#include <vector>

#include "segue/device.h"

namespace segue {

// What a last operator of at most `last_ns` does not hide of the transfer of so many bytes. Where
// the host is faster than the link, the time is not convex, and this is a convex bound below it.
class OutputTime {
 public:
  OutputTime(const Timing& timing, double last_ns);

  [[nodiscard]] double operator()(double bytes) const;  // ns

  // The largest c for which per_byte * bytes + c is at most the time for all bytes; `per_byte` is
  // at most `steepest`.
  [[nodiscard]] double tangent(double per_byte) const;
  [[nodiscard]] double steepest() const;

 private:
  struct Line {
    double per_byte = 0;
    double at_zero = 0;
  };
  std::vector<Line> lines_;
};

}  // namespace segue
