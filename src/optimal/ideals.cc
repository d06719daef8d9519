#include "optimal/ideals.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>

namespace segue {
namespace {

using Bits = std::vector<IdealLattice::Word>;
constexpr std::size_t kBits = 64;

void insert(Bits& bits, std::size_t op) {
  bits[op / kBits] |= IdealLattice::Word{1} << (op % kBits);
}

bool holds(const Bits& bits, std::size_t op) {
  return ((bits[op / kBits] >> (op % kBits)) & 1U) != 0;
}

bool is_ready(const Graph& graph, const Bits& ideal, std::size_t op) {
  return !holds(ideal, op) &&
         std::ranges::all_of(graph.writers(operator_id(op)),
                             [&](OperatorId writer) { return holds(ideal, index(writer)); });
}

}  // namespace

void IdealLattice::append(const std::vector<Word>& ideal) {
  std::uint32_t count = 0;
  for (const Word word : ideal) count += static_cast<std::uint32_t>(std::popcount(word));
  sizes_.push_back(count);
  words_.insert(words_.end(), ideal.begin(), ideal.end());
}

// Level by level: the ideals of n + 1 operators are those of n with one operator more. A set keeps
// each once and in an order that depends on nothing but its operators.
std::optional<IdealLattice> IdealLattice::all(const Graph& graph, std::size_t limit) {
  const std::size_t count = graph.operator_count();
  IdealLattice lattice(count);
  std::set<Bits> level{Bits(lattice.words_per_ideal_)};
  for (std::size_t size = 0; size <= count; ++size) {
    if (lattice.size() + level.size() > limit) return std::nullopt;
    std::set<Bits> next;
    for (const Bits& ideal : level) {
      lattice.append(ideal);
      for (std::size_t op = 0; op < count; ++op) {
        if (!is_ready(graph, ideal, op)) continue;
        Bits larger = ideal;
        insert(larger, op);
        next.insert(std::move(larger));
      }
      if (lattice.size() + next.size() > limit) return std::nullopt;
    }
    level = std::move(next);
  }
  return lattice;
}

IdealLattice IdealLattice::along_depths(const Graph& graph) {
  IdealLattice lattice(graph.operator_count());
  Bits ideal(lattice.words_per_ideal_);
  lattice.append(ideal);
  for (std::uint32_t depth = 1; depth <= graph.depth(); ++depth) {
    for (const OperatorId id : graph.operators_between(depth, depth)) insert(ideal, index(id));
    lattice.append(ideal);
  }
  return lattice;
}

IdealLattice IdealLattice::along_some_depths(const Graph& graph, std::uint32_t count) {
  const IdealLattice depths = along_depths(graph);
  const std::size_t last = depths.size() - 1;
  IdealLattice lattice(graph.operator_count());
  std::size_t previous = last + 1;
  for (std::size_t n = 0; n <= count; ++n) {
    const std::size_t i = n * last / count;
    if (i == previous) continue;
    lattice.append(Bits(depths.words(i).begin(), depths.words(i).end()));
    previous = i;
  }
  return lattice;
}

IdealLattice IdealLattice::along_orders(const Graph& graph) {
  const std::size_t count = graph.operator_count();
  const IdealLattice depths = along_depths(graph);
  std::set<std::pair<std::uint32_t, Bits>> ideals;
  for (std::size_t i = 0; i < depths.size(); ++i) {
    const auto words = depths.words(i);
    ideals.emplace(depths.operators_in(i), Bits(words.begin(), words.end()));
  }
  const auto add_along = [&](std::span<const OperatorId> order) {
    Bits ideal(depths.words_per_ideal_);
    for (std::uint32_t i = 0; i < count; ++i) {
      insert(ideal, index(order[i]));
      ideals.emplace(i + 1, ideal);
    }
  };
  std::vector<OperatorId> by_file(count);
  for (std::size_t i = 0; i < count; ++i) by_file[i] = operator_id(i);
  add_along(by_file);
  add_along(graph.vendor_order());
  IdealLattice lattice(count);
  for (const auto& [unused, bits] : ideals) lattice.append(bits);
  return lattice;
}

IdealLattice IdealLattice::with(const Graph& graph,
                                std::span<const std::vector<bool>> ideals) const {
  std::set<std::pair<std::uint32_t, Bits>> all;
  for (std::size_t i = 0; i < size(); ++i)
    all.emplace(operators_in(i), Bits(words(i).begin(), words(i).end()));
  for (const std::vector<bool>& ideal : ideals) {
    Bits bits(words_per_ideal_);
    std::uint32_t count = 0;
    for (std::size_t op = 0; op < ideal.size(); ++op) {
      if (!ideal[op]) continue;
      insert(bits, op);
      ++count;
    }
    all.emplace(count, std::move(bits));
  }
  IdealLattice lattice(graph.operator_count());
  for (const auto& [unused, bits] : all) lattice.append(bits);
  return lattice;
}

bool IdealLattice::is_subset(std::size_t smaller, std::size_t larger) const {
  const auto a = words(smaller);
  const auto b = words(larger);
  for (std::size_t w = 0; w < a.size(); ++w) {
    if ((a[w] & ~b[w]) != 0) return false;
  }
  return true;
}

std::vector<OperatorId> IdealLattice::difference(std::size_t smaller, std::size_t larger) const {
  std::vector<OperatorId> result;
  for (std::size_t w = 0; w < words_per_ideal_; ++w) {
    Word left = words(larger)[w] & ~words(smaller)[w];
    for (; left != 0; left &= left - 1)
      result.push_back(operator_id(w * kBits + static_cast<std::size_t>(std::countr_zero(left))));
  }
  return result;
}

std::size_t IdealLattice::last_of_difference(std::size_t smaller, std::size_t larger) const {
  for (std::size_t w = words_per_ideal_; w-- > 0;) {
    const Word left = words(larger)[w] & ~words(smaller)[w];
    if (left != 0) return w * kBits + kBits - 1 - static_cast<std::size_t>(std::countl_zero(left));
  }
  return 0;
}

}  // namespace segue
