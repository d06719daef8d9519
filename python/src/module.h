// Declarations that the parts of the Python module share.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "segue/device.h"
#include "segue/graph.h"
#include "segue/model.h"
#include "segue/plan.h"
#include "segue/runtime.h"
#include "string_caster.h"

namespace segue::python {

namespace nb = nanobind;
using namespace nb::literals;

// A model with its graph; Python objects share it.
struct GraphedModel {
  explicit GraphedModel(Model opened) : model(std::move(opened)), graph(model) {}
  Model model;
  Graph graph;
};
using SharedModel = std::shared_ptr<const GraphedModel>;

// A plan and the devices that it was made for.
struct DevicedPlan {
  Plan plan;
  std::vector<DevicePool> pools;
  std::string notes;  // from plan_notes
};

using SharedBackend = std::shared_ptr<const Backend>;

// A C-contiguous array in memory, of any type.
using InputArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using OutputArray = nb::ndarray<nb::numpy>;
using ConstantArray = nb::ndarray<nb::numpy, nb::ro>;

// Throws Error(kInvalidArgument) if type, shape or order in memory are not those of the port.
void check_fits(const InputArray& array, const Port& port, const char* kind = "input");
// Wraps the value, without a copy, as an array that owns it.
[[nodiscard]] OutputArray to_array(TensorBytes&& value, const Port& port);
// Returns a view, without a copy, of bytes in memory that `owner` keeps alive.
[[nodiscard]] ConstantArray view_of(std::span<const std::byte> bytes, ElementType type,
                                    std::span<const std::int32_t> shape, nb::handle owner);

// Returns the TensorFlow Lite libraries to try: the given one, or that of SEGUE_TFLITE_LIB, the
// wheel's and the system's.
[[nodiscard]] std::vector<std::filesystem::path> runtime_candidates(
    const std::optional<std::filesystem::path>& runtime);

void bind_detection(nb::module_& module);
void bind_models(nb::module_& module);
void bind_plans(nb::module_& module);
void bind_sessions(nb::module_& module);
void bind_sets(nb::module_& module);
void bind_statistics(nb::module_& module);
void bind_pipelines(nb::module_& module);
void bind_tools(nb::module_& module);

}  // namespace segue::python
