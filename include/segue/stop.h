/// Stopping a long search, comparison or verification from outside.
///
/// A call runs to its end unless its thread has a `StopScope`. The loops of the exact search, the
/// search by measured latencies, comparisons, checks of proofs and verifications then poll the
/// token and throw Error(kStopped) within some hundredths of a second. The library installs no
/// signal handlers: a program that ends a search on Ctrl-C requests the stop itself. Two things end
/// first: a compilation by edgetpu_compiler, and a measurement of operators on the host.
///
/// Example:
///
///     std::stop_source stop;  // stop.request_stop() from any thread
///     auto plan = std::async(std::launch::async, [&] {
///       const segue::StopScope scope(stop.get_token());
///       return segue::plan_by_strategy(graph, tpus, segue::Strategy::kOptimal).plan;
///     });
///
/// Thread-safety: a scope belongs to the thread that made it. Threads that the library starts for a
/// call have the same scope.
#pragma once

#include <stop_token>

namespace [[gnu::visibility("default")]] segue {

/// While it exists, calls of this thread end with Error(kStopped) once a stop is requested. Scopes
/// may be nested: the innermost applies.
class StopScope {
 public:
  explicit StopScope(std::stop_token token);
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;
  ~StopScope();

 private:
  std::stop_token token_;
  const std::stop_token* outer_;
};

/// Returns the token of this thread's scope, for a scope on another thread; without a scope, a
/// token on which no stop can be requested.
[[nodiscard]] std::stop_token stop_token_of_thread();

/// Throws Error(kStopped) if a stop of this thread's scope was requested. Takes some nanoseconds.
/// For long callbacks of the library, such as SegmentLatency.
void check_stopped();

}  // namespace segue
