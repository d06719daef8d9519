#include "optimal/output_time.h"

#include <algorithm>

namespace segue {

OutputTime::OutputTime(const Timing& timing, double last_ns) {
  const double link = 1e9 / timing.link_bytes_per_s.value;
  const double host = timing.output_ns_per_byte.value * timing.host_slowdown.value;
  const double exposed = timing.exposed_share.value;
  const double hidden = (1 - exposed) * last_ns;
  std::vector<Line> whole{{host, 0}};
  if (host >= link) {
    const double window = timing.output_window_bytes.value;
    whole = {{link, 0}, {host, (link - host) * window}};
  }
  for (const Line& line : whole) {
    lines_.push_back({exposed * line.per_byte, exposed * line.at_zero});
    lines_.push_back({line.per_byte, line.at_zero - hidden});
  }
}

double OutputTime::operator()(double bytes) const {
  double time = 0;
  for (const Line& line : lines_) time = std::max(time, line.at_zero + line.per_byte * bytes);
  return time;
}

// The difference to a line is smallest at no bytes or where two lines cross.
double OutputTime::tangent(double per_byte) const {
  double least = (*this)(0);
  for (const Line& a : lines_) {
    for (const Line& b : lines_) {
      if (a.per_byte == b.per_byte) continue;
      const double bytes = (b.at_zero - a.at_zero) / (a.per_byte - b.per_byte);
      if (bytes > 0) least = std::min(least, (*this)(bytes)-per_byte * bytes);
    }
  }
  return least;
}

double OutputTime::steepest() const {
  return std::ranges::max(lines_, {}, &Line::per_byte).per_byte;
}

}  // namespace segue
