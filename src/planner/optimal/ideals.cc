#include "planner/optimal/ideals.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "segue/stop.h"

namespace segue {
namespace {

using Bits = std::vector<bits::Word>;

bool is_ready(const Graph& graph, const Bits& ideal, std::size_t op) {
  return !bits::has(ideal, op) &&
         std::ranges::all_of(graph.writers(operator_id(op)),
                             [&](OperatorId writer) { return bits::has(ideal, index(writer)); });
}

// Returns the ideals between the first `first` and the first `last` operators, without both ends,
// by number of operators; nothing if there are more than `limit`. Ideals of n + 1 operators are
// those of n operators with one more. A set keeps each of them once, in an order that depends only
// on its operators.
std::optional<std::vector<Bits>> bits_between(const Graph& graph, std::size_t first,
                                              std::size_t last, std::size_t limit) {
  std::vector<Bits> ideals;
  Bits begin(bits::words_for(graph.operator_count()));
  for (std::size_t op = 0; op < first; ++op) bits::insert(begin, op);
  std::set<Bits> level{begin};
  for (std::size_t size = first + 1; size < last; ++size) {
    std::set<Bits> next;
    check_stopped();
    for (const Bits& ideal : level) {
      for (std::size_t op = first; op < last; ++op) {
        if (!is_ready(graph, ideal, op)) continue;
        Bits larger = ideal;
        bits::insert(larger, op);
        next.insert(std::move(larger));
      }
      if (ideals.size() + next.size() > limit) return std::nullopt;
    }
    level = std::move(next);
    ideals.insert(ideals.end(), level.begin(), level.end());
  }
  return ideals;
}

}  // namespace

// A prefix is such an ideal if each operator that could follow it directly reads from each operator
// of the prefix that has no reader in it. The counts of both kinds of operators, and of connected
// pairs, are computed for all prefixes at once from the ranges of prefixes in which they apply.
std::vector<std::uint32_t> narrow_prefixes(const Graph& graph) {
  const std::size_t count = graph.operator_count();
  std::vector<std::int64_t> lasts(count + 2);
  std::vector<std::int64_t> nexts(count + 2);
  std::vector<std::int64_t> pairs(count + 2);
  const auto from_to = [](std::vector<std::int64_t>& changes, std::size_t from, std::size_t to) {
    if (from > to) return;
    ++changes[from];
    --changes[to + 1];
  };
  const auto first_reader = [&](OperatorId id) {
    const auto readers = graph.readers(id);
    return readers.empty() ? count : index(readers.front());
  };
  for (std::size_t op = 0; op < count; ++op) {
    const auto writers = graph.writers(operator_id(op));
    std::size_t ready = 0;
    for (const OperatorId writer : writers) ready = std::max(ready, index(writer) + 1);
    from_to(lasts, op + 1, first_reader(operator_id(op)));
    from_to(nexts, ready, op);
    for (const OperatorId writer : writers) from_to(pairs, ready, first_reader(writer));
  }
  std::vector<std::uint32_t> prefixes;
  for (std::size_t size = 0; size <= count; ++size) {
    if (size > 0) {
      lasts[size] += lasts[size - 1];
      nexts[size] += nexts[size - 1];
      pairs[size] += pairs[size - 1];
    }
    if (size == 0 || size == count || pairs[size] == lasts[size] * nexts[size])
      prefixes.push_back(static_cast<std::uint32_t>(size));
  }
  return prefixes;
}

std::vector<OperatorId> fewest_bytes_order(const Graph& graph) {
  const std::size_t count = graph.operator_count();
  std::vector<double> written(count);          // bytes, if they are read
  std::vector<double> added(count);            // bytes that cross a cut after it, less those before
  std::vector<std::size_t> uncomputed(count);  // operators on whose outputs it waits
  std::vector<std::size_t> unread(count);      // operators that have to read its outputs
  for (std::size_t op = 0; op < count; ++op) {
    const auto readers = graph.readers(operator_id(op));
    uncomputed[op] = graph.writers(operator_id(op)).size();
    unread[op] = readers.size();
    if (readers.empty()) continue;
    for (const std::int32_t t : graph.model().op(operator_id(op)).outputs) {
      if (t >= 0) written[op] += static_cast<double>(graph.model().tensor(tensor_id(t)).bytes);
    }
    added[op] += written[op];
    if (readers.size() == 1) added[index(readers[0])] -= written[op];
  }
  std::set<std::pair<double, std::size_t>> ready;
  for (std::size_t op = 0; op < count; ++op) {
    if (uncomputed[op] == 0) ready.emplace(added[op], op);
  }
  std::vector<OperatorId> order;
  std::vector<bool> is_placed(count);
  const auto place = [&](std::size_t op) {
    order.push_back(operator_id(op));
    is_placed[op] = true;
    for (const OperatorId writer : graph.writers(operator_id(op))) {
      if (--unread[index(writer)] != 1) continue;
      const std::size_t last = index(*std::ranges::find_if(
          graph.readers(writer), [&](OperatorId reader) { return !is_placed[index(reader)]; }));
      const bool is_ready = ready.erase({added[last], last}) > 0;
      added[last] -= written[index(writer)];
      if (is_ready) ready.emplace(added[last], last);
    }
    for (const OperatorId reader : graph.readers(operator_id(op))) {
      if (--uncomputed[index(reader)] == 0) ready.emplace(added[index(reader)], index(reader));
    }
  };
  while (!ready.empty()) place(ready.extract(ready.begin()).value().second);
  return order;
}

std::vector<std::vector<OperatorId>> cut_orders(const Graph& graph) {
  std::vector<OperatorId> by_file(graph.operator_count());
  for (std::size_t i = 0; i < by_file.size(); ++i) by_file[i] = operator_id(i);
  std::vector<std::vector<OperatorId>> orders{std::move(by_file)};
  for (auto& order : {graph.vendor_order(), fewest_bytes_order(graph)}) {
    if (std::ranges::find(orders, order) == orders.end()) orders.push_back(order);
  }
  return orders;
}

void IdealLattice::append(const std::vector<Word>& ideal) {
  std::uint32_t count = 0;
  for (const Word word : ideal) count += static_cast<std::uint32_t>(std::popcount(word));
  sizes_.push_back(count);
  words_.insert(words_.end(), ideal.begin(), ideal.end());
}

IdealLattice IdealLattice::narrow(const Graph& graph, std::size_t limit,
                                  std::vector<IdealGap>& gaps) {
  const auto prefixes = narrow_prefixes(graph);
  std::vector<std::optional<std::vector<Bits>>>
      between;  // per prefix: the ideals up to the next one
  std::vector<std::pair<std::size_t, std::size_t>> by_width;
  for (std::size_t i = 0; i + 1 < prefixes.size(); ++i) {
    between.push_back(bits_between(graph, prefixes[i], prefixes[i + 1], limit));
    by_width.emplace_back(between[i] ? between[i]->size() : limit + 1, i);
  }
  std::ranges::sort(by_width);
  std::size_t size = prefixes.size();
  for (const auto& [width, i] : by_width) {
    size += width;
    if (width > 0 && size > limit) between[i].reset();
  }
  IdealLattice lattice(graph.operator_count());
  Bits ideal(lattice.words_per_ideal_);
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    for (std::size_t op = i == 0 ? 0 : prefixes[i - 1]; op < prefixes[i]; ++op)
      bits::insert(ideal, op);
    lattice.append(ideal);
    if (i == between.size()) break;
    const auto at = static_cast<std::uint32_t>(lattice.size() - 1);
    if (!between[i]) gaps.push_back({at, at + 1});
    if (!between[i]) continue;
    for (const Bits& other : *between[i]) lattice.append(other);
  }
  return lattice;
}

IdealLattice IdealLattice::along_depths(const Graph& graph) {
  IdealLattice lattice(graph.operator_count());
  Bits ideal(lattice.words_per_ideal_);
  lattice.append(ideal);
  for (std::uint32_t depth = 1; depth <= graph.depth(); ++depth) {
    for (const OperatorId id : graph.operators_between(depth, depth))
      bits::insert(ideal, index(id));
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

IdealLattice IdealLattice::along_orders(const Graph& graph,
                                        std::span<const std::vector<OperatorId>> orders) {
  const std::size_t count = graph.operator_count();
  const IdealLattice depths = along_depths(graph);
  std::set<std::pair<std::uint32_t, Bits>> ideals;
  for (std::size_t i = 0; i < depths.size(); ++i) {
    const auto words = depths.words(i);
    ideals.emplace(depths.operators_in(i), Bits(words.begin(), words.end()));
  }
  for (const auto& order : orders) {
    Bits ideal(depths.words_per_ideal_);
    for (std::uint32_t i = 0; i < count; ++i) {
      bits::insert(ideal, index(order[i]));
      ideals.emplace(i + 1, ideal);
    }
  }
  IdealLattice lattice(count);
  for (const auto& [unused, ideal] : ideals) lattice.append(ideal);
  return lattice;
}

IdealLattice IdealLattice::with(std::span<const std::vector<bool>> ideals) const {
  IdealLattice more(0);
  more.words_per_ideal_ = words_per_ideal_;
  for (const std::vector<bool>& ideal : ideals) {
    Bits words(words_per_ideal_);
    for (std::size_t op = 0; op < ideal.size(); ++op) {
      if (ideal[op]) bits::insert(words, op);
    }
    more.append(words);
  }
  return with(more);
}

IdealLattice IdealLattice::with(const IdealLattice& other) const {
  std::set<std::pair<std::uint32_t, Bits>> all;
  for (const IdealLattice* lattice : {this, &other}) {
    for (std::size_t i = 0; i < lattice->size(); ++i) {
      const auto words = lattice->words(i);
      all.emplace(lattice->operators_in(i), Bits(words.begin(), words.end()));
    }
  }
  IdealLattice result(0);
  result.words_per_ideal_ = words_per_ideal_;
  for (const auto& [unused, ideal] : all) result.append(ideal);
  return result;
}

std::vector<std::uint32_t> IdealLattice::positions_of(const IdealLattice& other) const {
  std::vector<std::uint32_t> positions;
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < other.size(); ++i) {
    while (!std::ranges::equal(words(at), other.words(i))) ++at;
    positions.push_back(at);
  }
  return positions;
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
    bits::for_each(words(larger)[w] & ~words(smaller)[w], w,
                   [&](std::size_t op) { result.push_back(operator_id(op)); });
  }
  return result;
}

std::size_t IdealLattice::last_of_difference(std::size_t smaller, std::size_t larger) const {
  for (std::size_t w = words_per_ideal_; w-- > 0;) {
    const Word left = words(larger)[w] & ~words(smaller)[w];
    if (left != 0)
      return w * bits::kPerWord + bits::kPerWord - 1 -
             static_cast<std::size_t>(std::countl_zero(left));
  }
  return 0;
}

}  // namespace segue
