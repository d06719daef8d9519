#include "measurements.h"

#include <fstream>

namespace segue::testing {
namespace {

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> result(1);
  bool is_quoted = false;
  for (const char c : line) {
    if (c == '"') {
      is_quoted = !is_quoted;
    } else if (c == ',' && !is_quoted) {
      result.emplace_back();
    } else if (c != '\r') {
      result.back() += c;
    }
  }
  return result;
}

}  // namespace

std::vector<Row> read_csv(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const auto header = cells(line);
  std::vector<Row> rows;
  while (std::getline(file, line)) {
    const auto values = cells(line);
    Row row;
    for (std::size_t i = 0; i < std::min(header.size(), values.size()); ++i)
      row[header[i]] = values[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace segue::testing
