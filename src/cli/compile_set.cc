#include "cli/compile_set.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "segue/error.h"
#include "segue/report.h"

namespace segue::cli {

namespace fs = std::filesystem;

FolderCompilation compile_set_file(const std::string& file, const std::string& folder,
                                   const std::string& device, CompileOptions options) {
  const SetPlan plan = read_set(file);
  if (!device.empty()) options.pools = open_devices(device, plan.device.count);
  std::vector<std::shared_ptr<const Model>> models;
  for (const SetModel& model : plan.models)
    models.push_back(std::make_shared<const Model>(open_noted(model.demand.source, "")));
  const fs::path into = folder.empty() ? "compiled" : folder;
  std::error_code reason;
  const bool is_new = fs::create_directories(into, reason);
  if (reason)
    throw Error(ErrorCode::kIo, fmt::format("-o {}: {}; name a folder", printable(into.string()),
                                            reason.message()));
  if (is_new) print_note(fmt::format("{}: new folder", printable(into.string())));
  const fs::path earlier = into / "set.json";
  if (fs::equivalent(earlier, file, reason))
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("-o {}: its set.json is the input; name another folder",
                            printable(into.string())));
  // If the compilation fails, an earlier set would otherwise run with files of this one.
  fs::remove(earlier, reason);
  return compile_set(plan, models, into, options).files;
}

}  // namespace segue::cli
