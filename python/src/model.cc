// Models, their tensors and operators, and the built-in networks.
#include "module.h"
#include "segue/cost.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"
#include "segue/units.h"
#include "segue/zoo.h"
#include "session.h"

namespace segue::python {
namespace {

struct TypeForm {
  ElementType type;
  nb::dlpack::dtype form;
};
constexpr std::uint8_t code(nb::dlpack::dtype_code kind) { return static_cast<std::uint8_t>(kind); }
constexpr auto kInt = code(nb::dlpack::dtype_code::Int);
constexpr auto kUint = code(nb::dlpack::dtype_code::UInt);
constexpr auto kFloat = code(nb::dlpack::dtype_code::Float);
constexpr auto kBool = code(nb::dlpack::dtype_code::Bool);

// The header does not name the types 1, 6, 7 and 10 of the file format.
constexpr TypeForm kForms[] = {
    {ElementType::kFloat32, {kFloat, 32, 1}}, {ElementType{1}, {kFloat, 16, 1}},
    {ElementType::kInt32, {kInt, 32, 1}},     {ElementType::kUint8, {kUint, 8, 1}},
    {ElementType::kInt64, {kInt, 64, 1}},     {ElementType{6}, {kBool, 8, 1}},
    {ElementType{7}, {kInt, 16, 1}},          {ElementType::kInt8, {kInt, 8, 1}},
    {ElementType{10}, {kFloat, 64, 1}},
};

std::optional<ElementType> find_type(nb::dlpack::dtype form) {
  for (const TypeForm& known : kForms) {
    if (known.form == form) return known.type;
  }
  return std::nullopt;
}

// Returns the name of the element type in the file format, or numpy's name if the format has no
// such type.
std::string type_text(nb::dlpack::dtype form) {
  if (const auto type = find_type(form)) return std::string(to_string(*type));
  using Kind = nb::dlpack::dtype_code;
  const auto kind = static_cast<Kind>(form.code);
  const char* const name = kind == Kind::Int       ? "int"
                           : kind == Kind::UInt    ? "uint"
                           : kind == Kind::Float   ? "float"
                           : kind == Kind::Complex ? "complex"
                                                   : "other";
  return name + std::to_string(form.bits);
}

nb::dlpack::dtype form_of(ElementType type) {
  for (const TypeForm& known : kForms) {
    if (known.type == type) return known.form;
  }
  throw Error(ErrorCode::kUnsupported,
              "numpy does not support " + std::string(to_string(type)) + " tensors");
}

std::string shape_text(std::span<const std::int32_t> shape) {
  std::string text;
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return "[" + text + "]";
}

// A tensor of a model; the view keeps the model alive.
struct TensorView {
  SharedModel model;
  TensorId id;
  [[nodiscard]] const Tensor& tensor() const { return model->model.tensor(id); }
};

struct OperatorView {
  SharedModel model;
  OperatorId id;
  [[nodiscard]] const Operator& op() const { return model->model.op(id); }
  [[nodiscard]] const OperatorStats& stats() const { return model->graph.stats(id); }
};

std::vector<TensorView> views(const SharedModel& model, std::span<const TensorId> ids) {
  std::vector<TensorView> result;
  for (const TensorId id : ids) result.push_back({model, id});
  return result;
}

void bind_tensor(nb::module_& module) {
  nb::class_<TensorView>(module, "Tensor", "A tensor of a model.")
      .def_prop_ro(
          "name", [](const TensorView& view) { return view.model->model.unique_name(view.id); },
          "A name that is unique in the model; segments refer to tensors by it.")
      .def_prop_ro("position", [](const TensorView& view) { return index(view.id); })
      .def_prop_ro(
          "type", [](const TensorView& view) { return std::string(to_string(view.tensor().type)); },
          "The name in the file format: INT8, FLOAT32, ...")
      .def_prop_ro(
          "shape",
          [](const TensorView& view) {
            return std::vector<std::int32_t>(view.tensor().shape.begin(),
                                             view.tensor().shape.end());
          },
          "[N, H, W, C] for activations.")
      .def_prop_ro("nbytes", [](const TensorView& view) { return view.tensor().bytes; })
      .def_prop_ro("scales",
                   [](const TensorView& view) {
                     const auto scales = view.tensor().quantization.scales;
                     return std::vector<float>(scales.begin(), scales.end());
                   })
      .def_prop_ro("zero_points",
                   [](const TensorView& view) {
                     const auto points = view.tensor().quantization.zero_points;
                     return std::vector<std::int64_t>(points.begin(), points.end());
                   })
      .def_prop_ro("is_constant",
                   [](const TensorView& view) { return view.tensor().is_constant(); })
      .def_prop_ro(
          "data",
          [](nb::handle self) -> std::optional<ConstantArray> {
            const auto& view = nb::cast<const TensorView&>(self);
            if (!view.tensor().is_constant()) return std::nullopt;
            return view_of(view.tensor().data, view.tensor().type, view.tensor().shape, self);
          },
          "The constant value, read-only and not copied; None if the tensor is computed.")
      .def("__repr__", [](const TensorView& view) {
        return "<segue.Tensor '" + view.model->model.unique_name(view.id) + "' " +
               std::string(to_string(view.tensor().type)) + shape_text(view.tensor().shape) + ">";
      });
}

void bind_operator(nb::module_& module) {
  nb::class_<OperatorView>(module, "Operator", "An operator of a model, in execution order.")
      .def_prop_ro(
          "name", [](const OperatorView& view) { return std::string(view.op().name); },
          "CONV_2D, ..., or a custom operator's own name.")
      .def_prop_ro("position", [](const OperatorView& view) { return index(view.id); })
      .def_prop_ro(
          "depth", [](const OperatorView& view) { return view.stats().depth; },
          "Longest path from a model input, in operators.")
      .def_prop_ro("parameter_bytes",
                   [](const OperatorView& view) { return view.stats().parameter_bytes; })
      .def_prop_ro("macs", [](const OperatorView& view) { return view.stats().macs; })
      .def_prop_ro("input_bytes", [](const OperatorView& view) { return view.stats().input_bytes; })
      .def_prop_ro("output_bytes",
                   [](const OperatorView& view) { return view.stats().output_bytes; })
      .def_prop_ro("runs_on_device",
                   [](const OperatorView& view) {
                     return is_supported_on_device(view.model->model, view.id);
                   })
      .def_prop_ro("inputs",
                   [](const OperatorView& view) {
                     std::vector<TensorView> inputs;
                     for (const std::int32_t position : view.op().inputs) {
                       if (position >= 0) inputs.push_back({view.model, tensor_id(position)});
                     }
                     return inputs;
                   })
      .def_prop_ro("outputs",
                   [](const OperatorView& view) {
                     std::vector<TensorView> outputs;
                     for (const std::int32_t position : view.op().outputs)
                       outputs.push_back({view.model, tensor_id(position)});
                     return outputs;
                   })
      .def("__repr__", [](const OperatorView& view) {
        return "<segue.Operator " + view.model->model.describe(view.id) + ">";
      });
}

void bind_level(nb::module_& module) {
  nb::class_<Level>(module, "Level", "Sums over all operators of one depth.")
      .def_ro("depth", &Level::depth)
      .def_ro("operator_count", &Level::operator_count)
      .def_ro("parameter_bytes", &Level::parameter_bytes)
      .def_ro("macs", &Level::macs)
      .def_ro("output_bytes", &Level::output_bytes)
      .def_ro("crossing_tensors", &Level::crossing_tensors,
              "Tensors that cross the cut after this depth.")
      .def_ro("crossing_bytes", &Level::crossing_bytes);
}

void bind_model(nb::module_& module) {
  nb::class_<GraphedModel>(module, "Model", "A quantized model; verified when read, and immutable.")
      .def_prop_ro("name", [](const GraphedModel& self) { return self.model.name(); })
      .def_prop_ro("sha256",
                   [](const GraphedModel& self) {
                     const nb::gil_scoped_release released;
                     return sha256(self.model.bytes());
                   })
      .def_prop_ro(
          "notes", [](const GraphedModel& self) { return model_notes(self.model); },
          "Notes on changes made when the model was read, for example a batch size set to 1.")
      .def_prop_ro("depth", [](const GraphedModel& self) { return self.graph.depth(); })
      .def_prop_ro("parameter_bytes",
                   [](const GraphedModel& self) { return self.graph.parameter_bytes(); })
      .def_prop_ro("macs", [](const GraphedModel& self) { return self.graph.macs(); })
      .def_prop_ro("inputs",
                   [](const SharedModel& self) { return views(self, self->model.inputs()); })
      .def_prop_ro("outputs",
                   [](const SharedModel& self) { return views(self, self->model.outputs()); })
      .def_prop_ro("tensors",
                   [](const SharedModel& self) {
                     std::vector<TensorView> all;
                     for (std::size_t i = 0; i < self->model.tensors().size(); ++i)
                       all.push_back({self, tensor_id(i)});
                     return all;
                   })
      .def_prop_ro("operators",
                   [](const SharedModel& self) {
                     std::vector<OperatorView> all;
                     for (std::size_t i = 0; i < self->model.operators().size(); ++i)
                       all.push_back({self, operator_id(i)});
                     return all;
                   })
      .def_prop_ro(
          "levels",
          [](const GraphedModel& self) {
            return std::vector<Level>(self.graph.levels().begin(), self.graph.levels().end());
          },
          "Levels by depth, from 1.")
      .def(
          "save",
          [](const GraphedModel& self, const std::filesystem::path& path) {
            const nb::gil_scoped_release released;
            const auto bytes = self.model.bytes();
            StagedFiles files;
            files.stage(path, std::span(&bytes, 1));
            files.commit();
          },
          "path"_a, "Writes the .tflite file completely, or not at all.")
      .def("__repr__", [](const GraphedModel& self) {
        return "<segue.Model '" + self.model.name() + "', " +
               std::to_string(self.model.operators().size()) + " operators>";
      });
}

}  // namespace

ElementType type_of(const InputArray& array) {
  if (const auto type = find_type(array.dtype())) return *type;
  throw Error(ErrorCode::kUnsupported,
              "tensors cannot have " + type_text(array.dtype()) + " elements");
}

std::vector<std::int32_t> shape_of(const InputArray& array) {
  std::vector<std::int32_t> shape;
  for (std::size_t i = 0; i < array.ndim(); ++i)
    shape.push_back(static_cast<std::int32_t>(array.shape(i)));
  return shape;
}

void check_fits(const InputArray& array, const Port& port, const char* kind) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kInvalidArgument, std::string(kind) + " '" + port.name + "': " + what);
  };
  if (array.dtype() != form_of(port.type)) {
    fail("has " + type_text(array.dtype()) + " elements, but must have " +
         std::string(to_string(port.type)));
  }
  bool is_same = array.ndim() == port.shape.size();
  for (std::size_t i = 0; is_same && i < array.ndim(); ++i)
    is_same = array.shape(i) == static_cast<std::size_t>(port.shape[i]);
  if (!is_same)
    fail("has shape " + shape_text(shape_of(array)) + ", but must have " + shape_text(port.shape));
}

OutputArray to_array(TensorBytes&& value, const Port& port) {
  auto* kept = new TensorBytes(std::move(value));
  const nb::capsule owner(kept,
                          [](void* bytes) noexcept { delete static_cast<TensorBytes*>(bytes); });
  const std::vector<std::size_t> shape(port.shape.begin(), port.shape.end());
  return OutputArray(kept->data(), shape.size(), shape.data(), owner, nullptr, form_of(port.type));
}

ConstantArray view_of(std::span<const std::byte> bytes, ElementType type,
                      std::span<const std::int32_t> dimensions, nb::handle owner) {
  const std::vector<std::size_t> shape(dimensions.begin(), dimensions.end());
  return {bytes.data(), shape.size(), shape.data(), owner, nullptr, form_of(type)};
}

void bind_models(nb::module_& module) {
  bind_tensor(module);
  bind_operator(module);
  bind_level(module);
  bind_model(module);
  module.def(
      "open_model",
      [](const std::filesystem::path& name, const std::string& signature) -> SharedModel {
        nb::gil_scoped_release released;
        return std::make_shared<const GraphedModel>(open_model(name.string(), {signature}));
      },
      "model"_a, "signature"_a = "",
      "Opens a .tflite file, or builds zoo:NAME[@SIZE]. signature: the signature to use, if the "
      "file has several with a subgraph each.");
  module.def(
      "zoo_names",
      [] {
        std::vector<std::string> names;
        for (const ZooEntry& entry : zoo_catalogue()) names.push_back("zoo:" + entry.name);
        return names;
      },
      "Names of the built-in networks.");
}

}  // namespace segue::python
