#include "segue/calibrate.h"

#include <filesystem>

#include "segue/edgetpu.h"

namespace segue {

CalibrationResult calibrate(std::span<const Probe> probes, const CalibrationRequest& request) {
  std::vector<Model> compiled;
  if (!request.compiled_probes.empty())
    compiled = read_compiled_probes(probes, request.compiled_probes);
  const DeviceSpec* const named = request.base.empty() ? nullptr : &find_device(request.base);
  const auto found = list_edgetpu_devices(request.libraries);
  const EdgeTpuDevice tpu = find_edgetpu_device(found, request.use.empty() ? "0" : request.use);
  const DeviceSpec& base = named == nullptr ? calibration_base(tpu) : *named;
  check_calibration_base(base, tpu);
  // Checks the name of the device before the measurement, so that a wrong one is reported at once.
  (void)calibrated_device_json({base.name, base, {}, {}, {}}, request.name);
  if (compiled.empty()) {
    compiled = compile_probes(probes, std::filesystem::temp_directory_path(), request.compiler);
  }
  check_edgetpu(request.libraries, tpu, compiled[0].runnable_bytes(), compiled[0].name(),
                std::chrono::seconds(30));
  const auto backend = isolate(make_edgetpu_backend(request.libraries, tpu));
  CalibrationResult result = fit_calibration(probes, measure_probes(compiled, *backend), base);
  result.tpu = tpu.name();
  return result;
}

}  // namespace segue
