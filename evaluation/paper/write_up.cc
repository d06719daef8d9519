#include "evaluation/paper/write_up.h"

#include <fmt/format.h>

#include <algorithm>

#include "evaluation/paper/texts.h"
#include "segue/error.h"

namespace segue::paper {
namespace {

[[noreturn]] void fail(const Experiment& experiment, std::string_view key) {
  throw Error(ErrorCode::kInternal,
              fmt::format("texts/{}.md: there is no '{}'", experiment.name, key));
}

std::string value_of(const Experiment& experiment, std::string_view key,
                     const std::map<std::string, std::string>& values) {
  const std::size_t space = key.find(' ');
  const std::string_view kind = key.substr(0, space);
  const std::string_view name = space == std::string_view::npos ? "" : key.substr(space + 1);
  if (key == "finding") return experiment.finding;
  if (kind == "table") {
    const auto found = std::ranges::find(experiment.tables, name, &PaperTable::name);
    if (found != experiment.tables.end()) return found->table.to_markdown();
  } else if (kind == "chart") {
    const auto found = std::ranges::find(experiment.charts, name, &PaperChart::name);
    if (found != experiment.charts.end())
      return fmt::format("![{}]({}.svg)\n", found->caption, found->name);
  } else if (const auto found = values.find(std::string(key)); found != values.end()) {
    return found->second;
  }
  fail(experiment, key);
}

}  // namespace

void write_readme(Experiment& experiment, const std::map<std::string, std::string>& values) {
  std::string_view text = text_of(experiment.name);
  experiment.readme = fmt::format("# {}\n\n", experiment.title);
  while (true) {
    const std::size_t begin = text.find("{{");
    experiment.readme += text.substr(0, begin);
    if (begin == std::string_view::npos) return;
    const std::size_t end = text.find("}}", begin);
    if (end == std::string_view::npos) fail(experiment, "}}");
    experiment.readme += value_of(experiment, text.substr(begin + 2, end - begin - 2), values);
    text.remove_prefix(end + 2);
  }
}

figure::Look look_of(std::string_view strategy) {
  using figure::Shape;
  if (strategy == "compiler") return {"compiler", Shape::kSquare, "2 3"};
  if (strategy == "balanced") return {"balanced", Shape::kTriangle, "6 3"};
  if (strategy == "profile") return {"profile", Shape::kDiamond, "10 3 2 3"};
  return {"optimal", Shape::kCircle, ""};
}

}  // namespace segue::paper
