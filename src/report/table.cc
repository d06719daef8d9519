#include <fmt/format.h>

#include <algorithm>

#include "segue/report.h"

namespace segue {
namespace {

// Returns the length of the UTF-8 sequence at the start of `text`, or 0 if it is not valid.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) length = 2;
  if (lead >= 0xE0 && lead < 0xF0) length = 3;
  if (lead >= 0xF0 && lead < 0xF5) length = 4;
  if (length == 0 || text.size() < length) return 0;
  // Overlong forms, surrogates and numbers above U+10FFFF can be recognised by the second byte.
  const auto second = static_cast<unsigned char>(text[1]);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) return 0;
  }
  return length;
}

bool is_control(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  const bool is_c1 = lead == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
  return lead < 0x20 || lead == 0x7F || is_c1;
}

// Returns the escape of a line end or a tab, which may occur in names; null for other characters.
const char* escape_of(char character) {
  switch (character) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return nullptr;
  }
}

// Puts a quote before a cell that a spreadsheet would run as a formula.
std::string disarmed(const std::string& cell) {
  const bool is_formula =
      cell.size() > 1 && std::string_view("=+-@").find(cell[0]) != std::string_view::npos;
  return is_formula ? "'" + cell : cell;
}

std::string quoted(const std::string& cell) {
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string result = "\"";
  for (const char c : cell) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string result;
  std::size_t characters = 0;
  while (!text.empty()) {
    if (++characters > limit) return result + "…";
    const std::size_t length = sequence_length(text);
    if (const char* escape = escape_of(text[0]); escape != nullptr) {
      result += escape;
    } else if (length == 0 || is_control(text.substr(0, length))) {
      result += '?';
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

std::string Table::to_csv() const {
  std::string text;
  for (std::size_t c = 0; c < columns.size(); ++c)
    text += (c == 0 ? "" : ",") + quoted(columns[c].title);
  text += "\n";
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      const bool is_text = columns[c].align == Align::kLeft;
      text += (c == 0 ? "" : ",") + quoted(is_text ? disarmed(row[c]) : row[c]);
    }
    text += "\n";
  }
  return text;
}

std::string Table::to_markdown() const {
  const auto line = [](auto cell_of, std::size_t count) {
    std::string text = "|";
    for (std::size_t c = 0; c < count; ++c) text += fmt::format(" {} |", cell_of(c));
    return text + "\n";
  };
  std::string text = line([&](std::size_t c) { return columns[c].title; }, columns.size()) + "|";
  for (const Column& column : columns) text += column.align == Align::kLeft ? "---|" : "--:|";
  text += "\n";
  for (const auto& row : rows) {
    text += line(
        [&](std::size_t c) {
          std::string cell;
          for (const char one : row[c])
            cell += one == '|' ? std::string("\\|") : std::string(1, one);
          return cell;
        },
        row.size());
  }
  return text;
}

}  // namespace segue
