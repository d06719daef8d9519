// Handles lost devices: the input runs again on another device, on a spare or after a new plan. If
// nothing can take over, the pipeline ends with an error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/pipeline/devices.h"
#include "segue/error.h"

namespace segue::pipeline {

// A layout for the remaining devices, opened on them.
struct NewPlan {
  std::uint64_t attempt = 0;
  std::vector<std::size_t> living;
  std::size_t device = kNone;  // the device that is opening now, or that failed
  std::optional<PipelineLayout> layout;
  std::vector<std::shared_ptr<Session>> sessions;
  Routing routing;
};

// Plain data, protected by the pipeline's lock. After lose, lose_in_new_plan and finish_new_plan,
// which may change what threads can do, the caller wakes all threads.
class Failures {
 public:
  Failures(Scheduler& scheduler, Devices& devices, std::vector<PipelineSegment>& segments,
           const PipelineOptions& options)
      : scheduler_(scheduler), devices_(devices), segments_(segments), options_(options) {}

  // Removes a device and chooses its replacement.
  void lose(std::size_t device, const std::string& reason);

  // A new plan is required. It can begin when no device computes or opens.
  [[nodiscard]] bool must_replan() const { return must_replan_; }
  [[nodiscard]] bool is_replanning() const { return replanning_; }
  [[nodiscard]] bool can_begin_plan() const;
  void begin_plan(NewPlan& plan);
  [[nodiscard]] bool is_current(const NewPlan& plan) const { return plan.attempt == plan_attempt_; }
  // Gives up the device for which a new plan waits. Another plan is made without it.
  void lose_in_new_plan(std::size_t device, const std::string& reason);
  // Returns true if the new plan is to be installed.
  [[nodiscard]] bool finish_new_plan(NewPlan& plan, const std::string& error);

  // Ends the pipeline without an error.
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
  [[nodiscard]] std::string find_fallback(std::size_t lost, const std::string& reason,
                                          bool may_borrow);
  // Asks for a device of others for the segment of the lost one. Returns its name; empty: none.
  [[nodiscard]] std::string borrow_for(std::size_t lost, const std::string& reason);
  // Ends the pipeline with an error. Only inputs that have passed the stage are still delivered.
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
  Clock::time_point ended_;  // when an error or `cancel` ended the pipeline
};

}  // namespace segue::pipeline
