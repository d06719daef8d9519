#include "device/edgetpu/internal/reserved_ranges.h"

#include <gtest/gtest.h>

#include <random>

namespace segue {
namespace {

TEST(ReservedRanges, RowsMatchScanOfAllItems) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::size_t size = 1 + random() % 30;
    std::vector<ReservedRanges::Item> items(random() % 20);
    for (auto& item : items) {
      item.position = random() % size;
      item.first = random() % (item.position + 1);
      item.rows = static_cast<std::uint32_t>(random() % 1000);
    }
    const ReservedRanges ranges(size, items);
    for (std::size_t from = 0; from <= size; ++from) {
      for (std::size_t to = from; to <= size; ++to) {
        std::uint32_t most = 0;
        for (const auto& item : items) {
          if (from <= item.position && item.position < to && item.first <= from)
            most = std::max(most, item.rows);
        }
        ASSERT_EQ(ranges.rows(from, to), most) << from << " to " << to << " of " << size;
      }
    }
  }
}

}  // namespace
}  // namespace segue
