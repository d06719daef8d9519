// Fuzzes the reader of sweep lines. Lines that were read must be written unchanged, and stay the
// same when they are merged with themselves.
#include "segue/sweep.h"

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] {
    const SweepLines lines = parse_sweep(fuzz::text_of(data, size), "sweep");
    for (const SweepRow& row : lines.rows) {
      const std::string line = to_json(row);
      fuzz::require(to_json(parse_sweep_row(line, "line")) == line,
                    "a row is read as it was written");
    }
    auto twice = lines.rows;
    twice.insert(twice.end(), lines.rows.begin(), lines.rows.end());
    const auto merged = merge_sweep(std::move(twice), Completeness::kAny);
    fuzz::require(merged.size() <= lines.rows.size(), "each job once");
  });
  return 0;
}
