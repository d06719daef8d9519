// Fuzzes extraction. Segments of any model that the reader accepts must be valid models with the
// same operators.
#include "segue/graph.h"
#include "segue/model.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace segue;
  fuzz::answers([&] {
    const Model model = parse_model(fuzz::bytes_of(data, size), "model");
    const Graph graph(model);
    const std::uint32_t middle = (1 + graph.depth()) / 2;
    for (const auto& [first, last] : {std::pair{1U, middle}, std::pair{middle + 1, graph.depth()},
                                      std::pair{1U, graph.depth()}}) {
      if (first > last) continue;
      const auto operators = graph.operators_between(first, last);
      const ModelImage image = extract_segment(model, operators);
      // The reader must accept the written segment, so an Error here is a bug.
      try {
        const Model segment = parse_model(image.to_bytes(), "segment");
        fuzz::require(segment.operators().size() == operators.size(), "no operator is lost");
        for (std::size_t i = 0; i < operators.size(); ++i) {
          fuzz::require(same_operation(model, operators[i], segment, operator_id(i)),
                        "operators are the same");
        }
      } catch (const Error& error) {
        std::fputs(error.what(), stderr);
        std::abort();
      }
    }
  });
  return 0;
}
