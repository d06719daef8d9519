#include "evaluation/array/array.h"

#include <gtest/gtest.h>

#include <random>

#include "expect.h"

namespace segue {
namespace {

using testing::expect_error;

std::vector<std::int8_t> random_operand(std::mt19937& random, std::uint64_t size) {
  std::vector<std::int8_t> values(size);
  for (auto& value : values) value = static_cast<std::int8_t>(random());
  return values;
}

std::vector<std::int32_t> naive_product(const ProductShape& p, const std::vector<std::int8_t>& a,
                                        const std::vector<std::int8_t>& w) {
  std::vector<std::int32_t> result(p.pixels * p.channels);
  for (std::uint64_t t = 0; t < p.pixels; ++t) {
    for (std::uint64_t k = 0; k < p.depth; ++k) {
      for (std::uint64_t n = 0; n < p.channels; ++n)
        result[t * p.channels + n] += a[t * p.depth + k] * w[k * p.channels + n];
    }
  }
  return result;
}

// The expected cycles are those of SCALE-Sim v2, weight stationary, 64 x 64.
TEST(ProductCycles, CyclesMatchScaleSim) {
  EXPECT_EQ(product_cycles({}, as_product({32, 32, 64, 3, 3, 1, 64})), 9810U);
  EXPECT_EQ(product_cycles({}, as_product({16, 16, 128, 3, 3, 1, 256})), 27792U);
  EXPECT_EQ(product_cycles({}, {.pixels = 1, .depth = 512, .channels = 1000}), 24448U);
}

// One fold of a 3x3 array with 4 pixels takes 3 cycles to load and 4 + 3 + 3 - 2 to stream.
TEST(ProductCycles, OneFoldIsLoadPlusStreamCycles) { EXPECT_EQ(fold_cycles({3, 3}, 4), 11U); }

TEST(RunArray, ResultAndCyclesMatchClosedForm) {
  std::mt19937 random(21);
  for (int round = 0; round < 3000; ++round) {
    const ArrayShape array{static_cast<std::uint32_t>(random() % 6 + 1),
                           static_cast<std::uint32_t>(random() % 6 + 1)};
    const ProductShape product{random() % 9 + 1, random() % 14 + 1, random() % 14 + 1};
    const auto a = random_operand(random, product.pixels * product.depth);
    const auto w = random_operand(random, product.depth * product.channels);
    const ArrayRun run = run_array(array, product, a, w);
    ASSERT_EQ(run.result, naive_product(product, a, w)) << "round " << round;
    ASSERT_EQ(run.cycles, product_cycles(array, product)) << "round " << round;
  }
}

TEST(RunArray, LayerLargerThanArrayIsExact) {
  std::mt19937 random(22);
  const ProductShape product = as_product({10, 10, 20, 3, 3, 1, 70});
  const auto a = random_operand(random, product.pixels * product.depth);
  const auto w = random_operand(random, product.depth * product.channels);
  const ArrayRun run = run_array({}, product, a, w);
  EXPECT_EQ(run.result, naive_product(product, a, w));
  EXPECT_EQ(run.cycles, product_cycles({}, product));
}

// Operands move one element per cycle: an activation in column 0 is in column 1 a cycle later.
TEST(RunArray, ActivationsMoveOneColumnPerCycle) {
  const std::vector<std::int8_t> a{5, 6, 7};
  const std::vector<std::int8_t> w{1, 1, 1};
  std::vector<std::vector<std::int16_t>> seen;
  (void)run_array({1, 3}, {3, 1, 3}, a, w, [&](const ArrayState& state) {
    if (!state.is_loading) seen.emplace_back(state.activations.begin(), state.activations.end());
  });
  const std::vector<std::vector<std::int16_t>> expected{
      {5, 0, 0}, {6, 5, 0}, {7, 6, 5}, {0, 7, 6}, {0, 0, 7}};
  EXPECT_EQ(seen, expected);
}

TEST(RunArray, WrongOperandSizesAreRefused) {
  const std::vector<std::int8_t> two(2);
  expect_error(ErrorCode::kInvalidArgument,
               [&] {
                 (void)run_array({}, {1, 3, 1}, two, two);
               },
               {"needs 3 activations and 3 weights, but 2 and 2 were given"});
  expect_error(ErrorCode::kInvalidArgument, [&] { (void)run_array({0, 1}, {1, 2, 1}, two, two); });
  expect_error(ErrorCode::kInvalidArgument,
               [] {
                 (void)as_product({2, 2, 1, 3, 3, 1, 1});
               },
               {"3 x 3", "2 x 2"});
}

}  // namespace
}  // namespace segue
