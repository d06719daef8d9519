#include "evaluation/paper/paper.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "cli/commands.h"
#include "cli/experiments.h"
#include "cli/progress.h"
#include "cli/written.h"
#include "evaluation/accuracy/accuracy.h"
#include "segue/error.h"
#include "segue/file.h"
#include "segue/report.h"

namespace segue::cli {

std::vector<Experiment> reproduce(const std::vector<std::string_view>& names) {
  std::optional<Progress> progress;
  return reproduce_paper(names, [&](std::size_t, std::size_t total) {
    if (!progress) progress.emplace(total);
    progress->advance();
  });
}

namespace {

struct AllOptions {
  std::string output;  // also used by a subcommand without its own --output
};

// Options of the commands for one experiment, selected by number or by name.
struct OneOptions {
  int figure = 0;
  std::string table;
  std::string output;
};

struct AccuracyOptions {
  std::string plot;
  FormatOptions format;
};

using Paths = std::vector<std::filesystem::path>;

void stage(StagedFiles& staged, const Experiment& experiment, const std::string& parent) {
  for (const PaperFile& file : experiment.files())
    staged.stage(std::filesystem::path(parent) / experiment.name / file.name, file.content);
}

Paths paths_of(std::span<const Experiment> experiments, const std::filesystem::path& parent) {
  Paths paths;
  for (const Experiment& experiment : experiments) {
    for (const PaperFile& file : experiment.files())
      paths.push_back(parent / experiment.name / file.name);
  }
  return paths;
}

// The cells of a row of a Markdown table.
std::vector<std::string> cells_of(std::string_view row) {
  std::vector<std::string> cells;
  row = row.substr(1, row.rfind('|') - 1);
  std::string cell;
  for (std::size_t i = 0; i <= row.size(); ++i) {
    if (i == row.size() || (row[i] == '|' && row[i - 1] != '\\')) {
      cells.push_back(cell.size() > 2 ? cell.substr(1, cell.size() - 2) : "");
      cell.clear();
    } else if (row[i] != '\\' || i + 1 == row.size() || row[i + 1] != '|') {
      cell += row[i];
    }
  }
  return cells;
}

// The first columns identify a row. On a narrow terminal the last columns are left out first.
Table table_of(const std::vector<std::string>& rows) {
  constexpr std::size_t kKept = 4;
  Table table;
  const auto titles = cells_of(rows[0]);
  const auto rules = CLI::detail::split(rows[1].substr(1), '|');
  for (std::size_t c = 0; c < titles.size(); ++c) {
    table.columns.push_back(
        {titles[c], rules[c] == "--:" ? Table::Align::kRight : Table::Align::kLeft,
         Table::Unit::kNone, "", c < kKept ? 0 : static_cast<std::uint32_t>(c)});
  }
  for (std::size_t r = 2; r < rows.size(); ++r) table.rows.push_back(cells_of(rows[r]));
  return table;
}

// Whether the line belongs to a paragraph, which continues on the next line.
bool is_prose(const std::string& line) {
  return !line.empty() && std::string_view("#`|!- ").find(line[0]) == std::string_view::npos;
}

// Formats Markdown for a terminal: tables are fitted to the width, and each paragraph becomes one
// line.
void print_markdown(const std::string& markdown) {
  std::string text;
  std::vector<std::string> rows;
  bool is_in_prose = false;
  for (const std::string& line : CLI::detail::split(markdown, '\n')) {
    if (line.starts_with("| ") || line.starts_with("|-")) {
      rows.push_back(line);
      continue;
    }
    if (!rows.empty()) text += table_of(rows).to_text(text_width());
    rows.clear();
    if (is_in_prose && is_prose(line)) text.back() = ' ';
    is_in_prose = is_prose(line);
    text += line + "\n";
  }
  if (!rows.empty()) text += table_of(rows).to_text(text_width());
  while (text.ends_with("\n\n")) text.pop_back();
  print_text(text);
}

// Checks the output folder before the experiments, which take half a minute.
void require_folder(const std::filesystem::path& path) {
  std::error_code absent;
  if (!std::filesystem::exists(path, absent) || std::filesystem::is_directory(path, absent)) return;
  throw Error(ErrorCode::kIo,
              fmt::format("{}: is a file, not a folder; name a folder (created if missing)",
                          path.string()));
}

void reproduce_all(const AllOptions& options) {
  const std::string folder = options.output.empty() ? "paper" : options.output;
  require_folder(folder);
  const std::vector<Experiment> experiments = reproduce(experiment_names());
  const std::filesystem::path page = std::filesystem::path(folder) / "index.html";
  Paths paths = paths_of(experiments, folder);
  paths.push_back(page);
  const BeforeWriting before(paths);
  StagedFiles staged;
  std::string text;
  for (const Experiment& experiment : experiments) {
    stage(staged, experiment, folder);
    text += fmt::format("{}\n  {}\n", experiment.title, experiment.finding);
  }
  staged.stage(page, paper_page(experiments));
  staged.commit();
  print_text(text +
             fmt::format("\n{} files in {}: {}\n{}: all figures and tables on one page; open "
                         "it in a browser\n",
                         paths.size(), printable(folder), before.change(), page.string()));
}

void reproduce_one(const std::string& name, const std::string& output) {
  if (!output.empty()) require_folder(output);
  const std::vector<Experiment> experiments = reproduce({name});
  if (output.empty()) return print_markdown(experiments[0].readme);
  const BeforeWriting before(paths_of(experiments, output));
  StagedFiles staged;
  stage(staged, experiments[0], output);
  staged.commit();
  print_text(fmt::format("{}\n{} files written to {}/{} ({})\n", experiments[0].finding,
                         experiments[0].files().size(), output, name, before.change()));
}

void show_accuracy(const AccuracyOptions& options) {
  const auto series = evaluate_accuracy();
  if (!options.plot.empty()) write_noted(options.plot, accuracy_plot(series));
  if (options.format.json) return print(accuracy_json(series));
  if (options.format.csv) return print(accuracy_table(series).to_csv());
  print_markdown(accuracy_markdown(series));
}

std::string folder_of(const OneOptions& one, const AllOptions& all) {
  return one.output.empty() ? all.output : one.output;
}

void add_one(CLI::App& command, const std::shared_ptr<OneOptions>& options) {
  add_output(
      command, options->output,
      "Write README.md, CSV and SVG to a subfolder of this folder instead of printing the text; "
      "overwrites files of the same names, and creates missing folders");
}

void add_figure(CLI::App& paper, const std::shared_ptr<AllOptions>& all) {
  auto options = std::make_shared<OneOptions>();
  CLI::App* command = paper.add_subcommand("figure", "Reproduce one figure");
  command
      ->add_option("NUMBER", options->figure,
                   "1: a systolic array; 2: operations per second; 4: synthetic networks; 5: "
                   "layers on the host; 6: speed-up of the segments of Google's compiler")
      ->required()
      ->check(CLI::IsMember({1, 2, 4, 5, 6}));
  add_one(*command, options);
  command->callback([options, all] {
    reproduce_one(fmt::format("figure{}", options->figure), folder_of(*options, *all));
  });
}

void add_table(CLI::App& paper, const std::shared_ptr<AllOptions>& all) {
  std::vector<std::string> tables;
  for (const std::string_view name : experiment_names()) {
    if (!name.starts_with("figure")) tables.emplace_back(name);
  }
  auto options = std::make_shared<OneOptions>();
  CLI::App* command = paper.add_subcommand("table", "Reproduce one table");
  command->add_option("NAME", options->table, "Name of the table")
      ->required()
      ->check(CLI::IsMember(tables));
  add_one(*command, options);
  command->callback([options, all] { reproduce_one(options->table, folder_of(*options, *all)); });
}

void add_accuracy(CLI::App& paper) {
  auto options = std::make_shared<AccuracyOptions>();
  CLI::App* command = paper.add_subcommand(
      "accuracy", "Compare simulated times with published measurements of Edge TPUs");
  command->add_option("--plot", options->plot,
                      std::string("Also write a plot (SVG) to this file") + kReplaces);
  add_format(*command, options->format);
  command->callback([options] { show_accuracy(*options); });
}

}  // namespace

void add_paper(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "paper", "Reproduce the figures and tables of the paper, or report the simulator's error");
  command->require_subcommand(0, 1);
  auto options = std::make_shared<AllOptions>();
  add_output(
      *command, options->output,
      "Folder for all results (default paper); overwrites files of the same names, and creates "
      "missing folders");
  command->callback([command, options] {
    if (command->get_subcommands().empty()) reproduce_all(*options);
  });
  add_figure(*command, options);
  add_table(*command, options);
  add_accuracy(*command);
}

}  // namespace segue::cli
