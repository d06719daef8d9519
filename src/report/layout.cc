// Fits tables and sentences to the width of a terminal.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "segue/report.h"
#include "segue/units.h"

namespace segue {
namespace {

constexpr std::size_t kGap = 2;             // between columns
constexpr std::size_t kLeastText = 16;      // narrower, a text column is hard to read
constexpr std::size_t kLeastShortened = 4;  // "ab…z"

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

// Returns the position of a character in bytes, or the end if there are fewer characters.
std::size_t position_of(std::string_view text, std::size_t character) {
  std::size_t position = 0;
  for (; position < text.size(); ++position) {
    if (begins_character(text[position]) && character-- == 0) break;
  }
  return position;
}

std::string shortened(std::string_view text, std::size_t width) {
  const std::size_t all = width_of(text);
  if (all <= width) return std::string(text);
  const std::size_t end = (width - 1) / 2;
  return std::string(text.substr(0, position_of(text, width - 1 - end))) + "…" +
         std::string(text.substr(position_of(text, all - end)));
}

// Splits a cell or a title into pieces. Lines may be broken between them, after these characters.
std::vector<std::string_view> pieces_of(std::string_view text) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(" +,/;_");
    const std::size_t length = end == std::string_view::npos ? text.size() : end + 1;
    pieces.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return pieces;
}

std::size_t trimmed_width(std::string_view text) {
  return width_of(text) - (text.ends_with(' ') ? 1 : 0);
}

std::size_t longest_piece(std::string_view text) {
  std::size_t longest = 0;
  for (const std::string_view piece : pieces_of(text))
    longest = std::max(longest, trimmed_width(piece));
  return longest;
}

std::vector<std::string> cell_lines(std::string_view cell, std::size_t width) {
  if (width_of(cell) <= width) return {std::string(cell)};
  std::vector<std::string> lines{""};
  for (const std::string_view piece : pieces_of(cell)) {
    if (!lines.back().empty() && width_of(lines.back()) + trimmed_width(piece) > width)
      lines.emplace_back();
    lines.back() += trimmed_width(piece) > width ? shortened(piece, width) : std::string(piece);
  }
  for (std::string& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

template <typename Number>
std::optional<Number> number_in(const std::string& cell) {
  Number number{};
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  if (error != std::errc{} || end != cell.data() + cell.size()) return std::nullopt;
  return number;
}

std::string in_unit(const std::string& cell, Table::Unit unit) {
  if (unit == Table::Unit::kBytes) {
    const auto bytes = number_in<std::uint64_t>(cell);
    return bytes ? format_mib(*bytes) : cell;
  }
  if (unit == Table::Unit::kTime) {
    const auto ns = number_in<std::int64_t>(cell);
    return ns ? format_ms(Nanoseconds(*ns)) : cell;
  }
  if (unit == Table::Unit::kShare) {
    const auto share = number_in<double>(cell);
    return share ? fmt::format("{:.0f}", 100 * *share) : cell;
  }
  return cell;
}

// A column as it is printed.
struct Shown {
  std::string title;
  Table::Align align = Table::Align::kRight;
  std::uint32_t spare = 0;
  std::vector<std::string> cells;
  std::size_t natural = 0;  // width of the title and all cells in one line
  std::size_t least = 0;    // width of the title and the cells broken over lines
  std::size_t width = 0;
  bool is_left_out = false;

  [[nodiscard]] bool is_text() const { return align == Table::Align::kLeft; }
};

std::vector<Shown> columns_of(const Table& table) {
  std::vector<Shown> result;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Table::Column& column = table.columns[c];
    Shown shown{column.shown.empty() ? column.title : column.shown, column.align, column.spare, {}};
    std::size_t widest = 0;
    for (const auto& row : table.rows) {
      shown.cells.push_back(in_unit(row[c], column.unit));
      widest = std::max(widest, width_of(shown.cells.back()));
    }
    shown.natural = std::max(width_of(shown.title), widest);
    shown.least = std::max(longest_piece(shown.title),
                           shown.is_text() ? std::min(widest, kLeastText) : widest);
    result.push_back(std::move(shown));
  }
  return result;
}

std::size_t sum_of(const std::vector<Shown>& columns, std::size_t Shown::*width) {
  std::size_t sum = 0;
  for (const Shown& column : columns) sum += column.is_left_out ? 0 : kGap + column.*width;
  return sum;
}

void leave_out(std::vector<Shown>& columns, std::size_t width) {
  while (sum_of(columns, &Shown::least) > width) {
    const auto order = [](const Shown& one) { return one.is_left_out ? 0 : one.spare; };
    const auto last = std::ranges::max_element(columns, {}, order);
    if (last == columns.end() || order(*last) == 0) return;
    const std::uint32_t spare = last->spare;
    for (Shown& column : columns) column.is_left_out |= column.spare == spare;
  }
}

// Makes the widest text column narrower until all columns fit or none can become narrower.
void narrow(std::vector<Shown>& columns, std::size_t width) {
  while (sum_of(columns, &Shown::width) > width) {
    const auto order = [](const Shown& one) {
      return one.is_left_out || !one.is_text() ? 0 : one.width;
    };
    const auto widest = std::ranges::max_element(columns, {}, order);
    if (widest == columns.end() || order(*widest) <= kLeastShortened) return;
    --widest->width;
  }
}

// Gives the remaining width first to text columns, one character at a time, then to titles.
void widen(std::vector<Shown>& columns, std::size_t width) {
  for (const bool is_text : {true, false}) {
    for (bool has_grown = true; has_grown;) {
      has_grown = false;
      for (Shown& column : columns) {
        if (column.is_text() != is_text || column.is_left_out || column.width >= column.natural ||
            sum_of(columns, &Shown::width) >= width)
          continue;
        ++column.width;
        has_grown = true;
      }
    }
  }
}

std::vector<Shown> fitted(const Table& table, std::size_t width) {
  std::vector<Shown> columns = columns_of(table);
  const bool fits = sum_of(columns, &Shown::natural) <= width;
  if (!fits) leave_out(columns, width);
  for (Shown& column : columns) column.width = fits ? column.natural : column.least;
  if (fits) return columns;
  narrow(columns, width);
  widen(columns, width);
  return columns;
}

std::string padded(const std::string& cell, std::size_t width, Table::Align align) {
  const std::string space(width - std::min(width, width_of(cell)), ' ');
  return align == Table::Align::kLeft ? cell + space : space + cell;
}

enum class Ends { kTop, kBottom };

// Returns one row of the table. A cell may take several lines.
template <typename CellOf>
std::string row_text(const std::vector<Shown>& columns, Ends ends, CellOf cell_of) {
  std::vector<std::vector<std::string>> cells;
  std::size_t height = 1;
  for (const Shown& column : columns) {
    cells.push_back(cell_lines(cell_of(column), column.width));
    if (!column.is_left_out) height = std::max(height, cells.back().size());
  }
  std::string text;
  for (std::size_t at = 0; at < height; ++at) {
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c].is_left_out) continue;
      const std::size_t above = ends == Ends::kBottom ? height - cells[c].size() : 0;
      const bool has_line = at >= above && at - above < cells[c].size();
      line += std::string(kGap, ' ') +
              padded(has_line ? cells[c][at - above] : "", columns[c].width, columns[c].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// Returns the indentation of the lines that follow when a line is broken: that of the text after
// its last wide gap, or else that of its first character.
std::size_t hanging(std::string_view line, std::size_t width) {
  const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
  const std::size_t gap = line.substr(0, width / 2).rfind("  ");
  if (gap == std::string_view::npos || gap < first) return first;
  const std::size_t text = line.find_first_not_of(' ', gap);
  return text > width / 2 ? first : text;
}

// Splits a line into words. `code` in backticks is one word if it is short enough.
std::vector<std::string_view> words_of(std::string_view line, std::size_t width) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    std::size_t end = std::min(line.find(' '), line.size());
    const std::size_t tick = line.substr(0, end).find('`');
    if (tick != std::string_view::npos) {
      const std::size_t closing = line.find('`', tick + 1);
      if (closing != std::string_view::npos && closing - tick <= width / 2)
        end = std::max(end, std::min(line.find(' ', closing), line.size()));
    }
    words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::string wrapped_line(std::string_view line, std::size_t width) {
  if (width_of(line) <= width) return std::string(line);
  const std::size_t indent = hanging(line, width);
  std::string text(line.substr(0, indent));
  std::size_t used = width_of(text);
  bool is_first = true;  // in its line
  for (const std::string_view word : words_of(line.substr(indent), width)) {
    if (!is_first && used + 1 + width_of(word) > width) {
      text += "\n" + std::string(width_of(line.substr(0, indent)), ' ');
      used = width_of(line.substr(0, indent));
      is_first = true;
    }
    text += (is_first ? "" : " ") + std::string(word);
    used += width_of(word) + (is_first ? 0 : 1);
    is_first = false;
  }
  return text;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t width) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    result += wrapped_line(text.substr(0, end), width);
    if (end < text.size()) result += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

std::vector<bool> Table::columns_shown(std::size_t width) const {
  std::vector<bool> shown;
  for (const Shown& column : fitted(*this, width)) shown.push_back(!column.is_left_out);
  return shown;
}

std::string Table::to_text(std::size_t width) const {
  const std::vector<Shown> shown = fitted(*this, width);
  std::string text =
      row_text(shown, Ends::kBottom, [](const Shown& column) { return column.title; });
  for (std::size_t row = 0; row < rows.size(); ++row)
    text += row_text(shown, Ends::kTop, [&](const Shown& column) { return column.cells[row]; });
  std::vector<std::string> left_out;
  for (const Shown& column : shown) {
    if (column.is_left_out) left_out.push_back(column.title);
  }
  if (left_out.empty()) return text;
  return text + wrapped(fmt::format("  (not shown at this width: {})\n", fmt::join(left_out, ", ")),
                        width);
}

}  // namespace segue
