/// An independent check of a plan that claims to be the best.
///
/// A certificate is the plan's `bound`: a value, the limits it holds for, and whether the plan
/// reaches it. The checker shares nothing with the planner but the times of single segments: it
/// lists the ideals of the graph itself, asks the simulated compiler and the simulator for every
/// segment that the work in it does not rule out, and looks for a pipeline below the bound by a
/// plain dynamic program without the planner's bounds. Short instead of fast: up to a second for
/// ResNets, about a minute for InceptionV4.
///
/// Thread-safety: a pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/plan.h"

namespace [[gnu::visibility("default")]] segue {

struct CertificateVerdict {
  bool is_accepted = false;
  std::string reason;          // what was checked, or what is wrong
  std::size_t ideals = 0;      // of the graph; 0 where they were not needed
  std::uint64_t segments = 0;  // whose times were computed
};

/// How far the checker goes, so that nobody waits for hours for a proof made to take them.
struct CertificateLimits {
  std::size_t ideals = 6000;
  /// Operators looked at, 20 times that many in a segment that is timed, and pairs of partial
  /// pipelines compared: some minutes. InceptionV4 takes half of it.
  std::uint64_t work = 20'000'000'000;
};

/// Accepts when the plan's numbers are those of its stages on these devices, it keeps the limits of
/// its bound, and no pipeline within them is below the bound. For a graph of more ideals than the
/// limit, none of a relaxed problem is: where the graph is widest, a cut may have any amount of the
/// work there before it, and what crosses it costs nothing. O(ideals^2) segments. Throws as
/// make_plan, and Error(kUnsupported) where neither that nor the work of all operators decides, or
/// looking takes more work than the limit.
[[nodiscard]] CertificateVerdict check_certificate(const Plan& plan, const Graph& graph,
                                                   std::span<const DevicePool> pools,
                                                   const CertificateLimits& limits = {});

}  // namespace segue
