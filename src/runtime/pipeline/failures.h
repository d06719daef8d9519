// What a pipeline does when a device is lost: its input runs again on another device, on a spare,
// or after a new plan; where nothing can take over, the pipeline ends with an error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/pipeline/devices.h"
#include "segue/error.h"

namespace segue::pipeline {

// A layout for the devices that are left, opened on them.
struct NewPlan {
  std::uint64_t attempt = 0;
  std::vector<std::size_t> living;
  std::size_t device = kNone;  // that it opens at this moment, or that failed
  std::optional<PipelineLayout> layout;
  std::vector<std::shared_ptr<Session>> sessions;
  Routing routing;
};

// Plain state under the pipeline's lock. After a call that may change what threads can do
// (lose, lose_in_new_plan, finish_new_plan), the caller wakes them all.
class Failures {
 public:
  Failures(Scheduler& scheduler, Devices& devices, std::vector<PipelineSegment>& segments,
           const PipelineOptions& options)
      : scheduler_(scheduler), devices_(devices), segments_(segments), options_(options) {}

  // Takes a device out and chooses what takes over.
  void lose(std::size_t device, const std::string& reason);

  // Whether a new plan is wanted and may begin: no device computes or opens.
  [[nodiscard]] bool must_replan() const { return must_replan_; }
  [[nodiscard]] bool is_replanning() const { return replanning_; }
  [[nodiscard]] bool can_begin_plan() const;
  void begin_plan(NewPlan& plan);
  [[nodiscard]] bool is_current(const NewPlan& plan) const { return plan.attempt == plan_attempt_; }
  // Gives up the device that a new plan waits for; another plan is made without it.
  void lose_in_new_plan(std::size_t device, const std::string& reason);
  // True where the plan is to be used.
  [[nodiscard]] bool finish_new_plan(NewPlan& plan, const std::string& error);

  // Ends the pipeline, without an error of a device.
  void cancel();
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] bool is_cancelled() const { return cancelled_; }
  [[nodiscard]] Clock::time_point ended() const { return ended_; }

  [[nodiscard]] const std::vector<DeviceLoss>& losses() const { return losses_; }
  [[nodiscard]] bool has_unreported() const { return reported_ < losses_.size(); }
  [[nodiscard]] DeviceLoss take_unreported() { return losses_[reported_++]; }

 private:
  [[nodiscard]] std::string take_over(std::size_t lost,
                                      const std::optional<Scheduler::Interrupted>& input,
                                      const std::string& reason);
  [[nodiscard]] std::string find_fallback(std::size_t stage);
  // Only what is past the stage still leaves.
  void fail_at(std::size_t stage, const std::string& reason);

  Scheduler& scheduler_;
  Devices& devices_;
  std::vector<PipelineSegment>& segments_;
  const PipelineOptions& options_;
  std::vector<DeviceLoss> losses_;
  std::size_t reported_ = 0;
  bool must_replan_ = false;
  bool replanning_ = false;
  std::uint64_t plan_attempt_ = 0;
  bool cancelled_ = false;
  std::optional<Error> error_;
  Clock::time_point ended_;  // when an error or cancel ended it
};

}  // namespace segue::pipeline
