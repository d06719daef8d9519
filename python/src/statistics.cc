// Binds the statistics of a pipeline.
#include "module.h"
#include "segue/pipeline.h"

namespace segue::python {

void bind_statistics(nb::module_& module) {
  nb::class_<LatencyStatistics>(module, "LatencyStatistics")
      .def_prop_ro("mean_ns", [](const LatencyStatistics& self) { return self.mean.count(); })
      .def_prop_ro("p50_ns", [](const LatencyStatistics& self) { return self.p50.count(); })
      .def_prop_ro("p99_ns", [](const LatencyStatistics& self) { return self.p99.count(); })
      .def_prop_ro("max_ns", [](const LatencyStatistics& self) { return self.max.count(); });
  nb::class_<PipelineStageStatistics>(module, "StageStatistics")
      .def_ro("segment", &PipelineStageStatistics::segment)
      .def_prop_ro("mean_time_ns",
                   [](const PipelineStageStatistics& self) { return self.mean_time.count(); })
      .def_ro("mean_queue", &PipelineStageStatistics::mean_queue)
      .def_prop_ro("utilisations",
                   [](const PipelineStageStatistics& self) {
                     std::vector<double> shares;
                     for (const DeviceStatistics& device : self.devices)
                       shares.push_back(device.utilisation);
                     return shares;
                   })
      .def_prop_ro(
          "devices",
          [](const PipelineStageStatistics& self) {
            std::vector<std::string> names;
            for (const DeviceStatistics& device : self.devices) names.push_back(device.name);
            return names;
          },
          "Names of its devices, in the order of utilisations; lost ones and spares included.");
  nb::class_<PipelineStatistics>(module, "PipelineStatistics",
                                 "Statistics of a pipeline (measured).")
      .def_ro("results", &PipelineStatistics::results)
      .def_prop_ro("elapsed_ns",
                   [](const PipelineStatistics& self) { return self.elapsed.count(); })
      .def_ro("throughput_per_s", &PipelineStatistics::throughput_per_s)
      .def_ro("latency", &PipelineStatistics::latency)
      .def_ro("stages", &PipelineStatistics::stages)
      .def_prop_ro(
          "losses",
          [](const PipelineStatistics& self) {
            std::vector<std::string> losses;
            for (const DeviceLoss& loss : self.losses)
              losses.push_back(loss.device + ": " + loss.reason + "; " + loss.remedy);
            return losses;
          },
          "Devices that failed, with the reason and the fallback.");
}

}  // namespace segue::python
