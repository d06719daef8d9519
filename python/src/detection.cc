// Binds detectors, which take pictures and return boxes.
#include "segue/detection.h"

#include "module.h"
#include "segue/error.h"
#include "segue/zoo.h"
#include "session.h"

namespace segue::python {
namespace {

DetectorOptions options_of(double score, double iou, std::uint32_t max_detections,
                           const std::optional<std::string>& family) {
  DetectorOptions options;
  options.score_threshold = static_cast<float>(score);
  options.iou_threshold = static_cast<float>(iou);
  options.max_detections = max_detections;
  if (family) options.family = parse_detector_family(*family);
  return options;
}

std::pair<OutputArray, PicturePlacement> prepare(const Detector& detector,
                                                 const InputArray& picture) {
  const bool is_picture =
      type_of(picture) == ElementType::kUint8 && picture.ndim() == 3 && picture.shape(2) == 3;
  if (!is_picture)
    throw Error(ErrorCode::kInvalidArgument,
                "a picture is an array of uint8 [height, width, 3] (RGB), but " +
                    std::string(to_string(type_of(picture))) + " with " +
                    std::to_string(picture.ndim()) + " dimensions was given");
  constexpr std::size_t kMost = 1U << 20U;  // prepare refuses larger pictures
  const std::span<const std::uint8_t> rgb(static_cast<const std::uint8_t*>(picture.data()),
                                          picture.nbytes());
  const auto height = static_cast<std::uint32_t>(std::min(picture.shape(0), kMost));
  const auto width = static_cast<std::uint32_t>(std::min(picture.shape(1), kMost));
  PreparedPicture prepared;
  {
    const nb::gil_scoped_release released;
    prepared = detector.prepare(rgb, width, height);
  }
  return {to_array(std::move(prepared.input), detector.input()), prepared.placement};
}

std::vector<Detection> decode(const Detector& detector, const std::vector<InputArray>& outputs,
                              const PicturePlacement& transform) {
  const auto ports = detector.outputs();
  std::vector<std::span<const std::byte>> values;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (i < ports.size()) check_fits(outputs[i], ports[i], "output");
    values.emplace_back(static_cast<const std::byte*>(outputs[i].data()), outputs[i].nbytes());
  }
  const nb::gil_scoped_release released;
  return detector.decode(values, transform);
}

void bind_values(nb::module_& module) {
  nb::class_<Detection>(module, "Detection",
                        "A detected object: edges in pixels of the picture, score, class.")
      .def_ro("left", &Detection::left)
      .def_ro("top", &Detection::top)
      .def_ro("right", &Detection::right)
      .def_ro("bottom", &Detection::bottom)
      .def_ro("score", &Detection::score)
      .def_ro("class_id", &Detection::class_id)
      .def("__repr__", [](const Detection& box) {
        return "<segue.Detection class " + std::to_string(box.class_id) + " score " +
               std::to_string(box.score) + " (" + std::to_string(box.left) + ", " +
               std::to_string(box.top) + ") to (" + std::to_string(box.right) + ", " +
               std::to_string(box.bottom) + ")>";
      });
  nb::class_<PicturePlacement>(module, "PicturePlacement",
                               "Where a picture lies in the input of a model: its point x is at "
                               "left + scale_x * x.")
      .def_ro("width", &PicturePlacement::width)
      .def_ro("height", &PicturePlacement::height)
      .def_ro("scale_x", &PicturePlacement::scale_x)
      .def_ro("scale_y", &PicturePlacement::scale_y)
      .def_ro("left", &PicturePlacement::left)
      .def_ro("top", &PicturePlacement::top);
}

}  // namespace

void bind_detection(nb::module_& module) {
  bind_values(module);
  nb::class_<Detector>(module, "Detector",
                       "Decodes the outputs of SSD, EfficientDet and YOLO to boxes in pixels.")
      .def(
          "__init__",
          [](Detector* self, const SharedModel& model, double score, double iou,
             std::uint32_t max_detections, const std::optional<std::string>& family) {
            new (self) Detector(model->model, options_of(score, iou, max_detections, family));
          },
          "model"_a, nb::kw_only(), "score"_a = 0.25, "iou"_a = 0.45, "max_detections"_a = 100,
          "family"_a = nb::none(),
          "A model, or the path of one (or \"zoo:NAME\"). family: for outputs that are not "
          "recognised, a value of --family in `segue run`.")
      .def(
          "__init__",
          [](Detector* self, const std::filesystem::path& model, double score, double iou,
             std::uint32_t max_detections, const std::optional<std::string>& family) {
            const DetectorOptions options = options_of(score, iou, max_detections, family);
            const nb::gil_scoped_release released;
            new (self) Detector(open_model(model.string()), options);
          },
          "model"_a, nb::kw_only(), "score"_a = 0.25, "iou"_a = 0.45, "max_detections"_a = 100,
          "family"_a = nb::none())
      .def_prop_ro("family",
                   [](const Detector& self) { return std::string(to_string(self.family())); })
      .def_prop_ro(
          "input_shape", [](const Detector& self) { return self.input().shape; },
          "[1, height, width, 3].")
      .def("prepare", &prepare, "picture"_a,
           "Resizes a picture, uint8 [height, width, 3] (RGB), to the model's input. Returns the "
           "input and a transform for decode.")
      .def("decode", &decode, "outputs"_a, "transform"_a,
           "Returns the boxes in the model's outputs, in descending order of score, in pixels of "
           "the picture. outputs: arrays in the order of the model's outputs.");
}

}  // namespace segue::python
