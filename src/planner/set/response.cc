#include "planner/set/response.h"

#include <algorithm>
#include <cmath>

namespace segue {
namespace {

// The work that arrives from 0 to t, both included, if all models begin as late as their jitter
// allows and then send at their shortest period.
double arrived_ns(std::span<const Arrivals> models, double t) {
  double sum = 0;
  for (const Arrivals& model : models)
    sum += (std::floor((t + model.jitter_ns) / model.period_ns) + 1) * model.time_ns;
  return sum;
}

// The end of the busy period that begins with arrivals of all models at 0.
double busy_period_ns(std::span<const Arrivals> models) {
  double end = arrived_ns(models, 0);
  while (true) {
    double work = 0;
    for (const Arrivals& model : models) {
      const double arrivals = std::ceil((end + model.jitter_ns) / model.period_ns);
      work += std::max(1.0, arrivals) * model.time_ns;
    }
    if (work <= end) return end;
    end = work;
  }
}

}  // namespace

Nanoseconds longest_response(std::span<const Arrivals> models) {
  constexpr double kLeastIdle = 1e-3;  // keeps the busy period short
  double load = 0;
  for (const Arrivals& model : models) load += model.time_ns / model.period_ns;
  if (load > 1 - kLeastIdle) return kLongestWait;
  const double end = busy_period_ns(models);
  double longest = arrived_ns(models, 0);
  // The waiting work only grows at arrivals.
  for (const Arrivals& model : models) {
    if (std::isinf(model.period_ns)) continue;
    for (double n = std::floor(model.jitter_ns / model.period_ns) + 1;
         n * model.period_ns - model.jitter_ns < end; ++n) {
      // Half a nanosecond makes sure that the division counts this arrival.
      const double t = n * model.period_ns - model.jitter_ns;
      longest = std::max(longest, arrived_ns(models, t + 0.5) - t);
    }
  }
  return Nanoseconds(std::llround(std::min(longest, static_cast<double>(kLongestWait.count()))));
}

}  // namespace segue
