// Fits the constants of the PCIe device again, on every second row of the sweeps, and finds those
// of the catalogue: nobody tuned them to the rows that docs/accuracy.md reports as held out.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <memory>

#include "accuracy/measured.h"
#include "accuracy/predict.h"

namespace segue {
namespace {

// What is fitted: link (MB/s), output (ns per byte), the sweep's session (ms).
using Constants = std::array<double, 3>;

struct Sweep {
  const ConvSweepRow* row = nullptr;
  std::unique_ptr<SweepPredictor> predictor;
};

DeviceSpec device_with(const Constants& constants) {
  DeviceSpec device = find_device("edgetpu-pcie");
  device.timing.link_bytes_per_s.value = constants[0] * 1e6;
  device.timing.output_ns_per_byte.value = constants[1];
  return device;
}

// Large errors count less than their square, so that a noisy row does not pull the fit.
double loss(double predicted_ms, double measured_ms, double noise_ms) {
  constexpr double kUsualShare = 0.05;
  const double share = (predicted_ms - measured_ms) / (measured_ms + noise_ms) / kUsualShare;
  return 2 * (std::sqrt(1 + share * share) - 1);
}

class Fit {
 public:
  Fit() {
    for (std::size_t i = 0; i < conv_sweep().size(); i += 2) {
      const ConvSweepRow& row = conv_sweep()[i];
      convolutions_.push_back({&row, std::make_unique<SweepPredictor>(row.filters)});
    }
    for (std::size_t i = 0; i < dense_sweep().size(); i += 2) {
      // Below a millisecond the host's noise is most of a row.
      if (dense_sweep()[i].one_device < 1) continue;
      dense_times_.push_back(dense_sweep()[i].one_device);
      dense_models_.push_back(dense_stack(dense_sweep()[i].units));
    }
  }

  [[nodiscard]] double operator()(const Constants& constants) const {
    // A single device is measured more carefully as a pipeline, small nets carry noise.
    constexpr double kWeight = 6;
    constexpr double kNoiseMs = 3;
    const DeviceSpec device = device_with(constants);
    double sum = 0;
    for (const Sweep& sweep : convolutions_) {
      const double noise = sweep.row->filters < 100 ? kNoiseMs : 0;
      sum += kWeight * loss(to_ms(sweep.predictor->one_device(device)) + constants[2],
                            sweep.row->one_device, noise);
      const auto pipeline = [&](std::size_t count) {
        return to_ms(sweep.predictor->pipeline(count, 1, HostSharing::kNone, device));
      };
      sum += loss(pipeline(2), sweep.row->two_batch_1, 0);
      sum += loss(pipeline(4), sweep.row->four_batch_1, 0);
    }
    for (std::size_t i = 0; i < dense_models_.size(); ++i)
      sum += loss(to_ms(predict(dense_models_[i], device).total()), dense_times_[i], 0);
    return sum;
  }

 private:
  std::vector<Sweep> convolutions_;
  std::vector<Model> dense_models_;
  std::vector<double> dense_times_;
};

// Coordinate descent with shrinking steps.
Constants fit(const Fit& cost, Constants constants) {
  Constants steps{16, 0.8, 0.4};
  double best = cost(constants);
  constexpr int kHalvings = 6;
  for (int halving = 0; halving < kHalvings; ++halving) {
    for (bool improved = true; improved;) {
      improved = false;
      for (std::size_t i = 0; i < constants.size(); ++i) {
        for (const double direction : {-1.0, 1.0}) {
          Constants next = constants;
          next[i] += direction * steps[i];
          const double value = cost(next);
          if (value >= best) continue;
          best = value;
          constants = next;
          improved = true;
        }
      }
    }
    for (double& step : steps) step /= 2;
  }
  return constants;
}

TEST(Calibration, EverySecondRowGivesTheConstantsOfTheCatalogue) {
  const Timing& timing = find_device("edgetpu-pcie").timing;
  const Constants fitted = fit(Fit(), {350, 10, 1});
  RecordProperty("link_mb_per_s", std::to_string(fitted[0]));
  RecordProperty("output_ns_per_byte", std::to_string(fitted[1]));
  RecordProperty("session_ms", std::to_string(fitted[2]));
  EXPECT_NEAR(fitted[0], timing.link_bytes_per_s.value / 1e6, 2);
  EXPECT_NEAR(fitted[1], timing.output_ns_per_byte.value, 0.05);
  EXPECT_NEAR(fitted[2], kSweepSessionMs, 0.03);
}

}  // namespace
}  // namespace segue
