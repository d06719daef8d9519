#include "module.h"

#include "segue/error.h"
#include "segue/version.h"

namespace segue::python {
namespace {

// Raises segue.Error.
void translate(const std::exception_ptr& pending, void* /*unused*/) {
  try {
    std::rethrow_exception(pending);
  } catch (const Error& error) {
    const nb::object kind = nb::module_::import_("segue.errors").attr("Error");
    const nb::object raised = kind(std::string(error.what()), std::string(to_string(error.code())));
    PyErr_SetObject(kind.ptr(), raised.ptr());
  }
}

}  // namespace
}  // namespace segue::python

NB_MODULE(_segue, module) {
  using namespace segue::python;
  // Users need no warning about objects that a script still holds at its end, for example in a
  // reference cycle.
  nb::set_leak_warnings(false);
  module.doc() = "Balanced CNN segments for several Edge TPUs.";
  module.def("version", [] { return segue::kVersion; });
  nb::register_exception_translator(translate);
  bind_models(module);
  bind_plans(module);
  bind_sessions(module);
  bind_statistics(module);
  bind_pipelines(module);
  bind_sets(module);
  bind_detection(module);
  bind_tools(module);
}
