// Tables of measurements beside the checkout.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace segue::testing {

/// One row of a CSV file with a header line; quoted cells may contain commas.
using Row = std::map<std::string, std::string>;

[[nodiscard]] std::vector<Row> read_csv(const std::filesystem::path& path);

}  // namespace segue::testing
