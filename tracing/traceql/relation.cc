#include "tracing/traceql/relation.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

namespace tarsier::tracing::traceql {
namespace {

using Sets = std::span<const NestedSet>;

Rows united(const Rows& a, const Rows& b) {
  Rows out;
  out.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

template <typename Predicate>
Rows kept(const Rows& rows, Predicate predicate) {
  Rows out;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(out), predicate);
  return out;
}

Rows children(const Rows& left, const Rows& right, Sets sets) {
  std::unordered_set<std::int32_t> lefts;
  for (const std::uint32_t row : left) {
    if (sets[row].left > 0) lefts.insert(sets[row].left);
  }
  return kept(right, [&](std::uint32_t row) { return lefts.contains(sets[row].parent); });
}

Rows parents(const Rows& left, const Rows& right, Sets sets) {
  std::unordered_set<std::int32_t> wanted;
  for (const std::uint32_t row : left) {
    if (sets[row].parent > 0) wanted.insert(sets[row].parent);
  }
  return kept(right, [&](std::uint32_t row) {
    return sets[row].left > 0 && wanted.contains(sets[row].left);
  });
}

/// Sweeps both sides in pre-order with the right ends of the open left spans on a stack.
Rows descendants(const Rows& left, const Rows& right, Sets sets) {
  const auto by_left = [&](std::uint32_t a, std::uint32_t b) {
    return sets[a].left < sets[b].left;
  };
  Rows outer = kept(left, [&](std::uint32_t row) { return sets[row].left > 0; });
  Rows inner = kept(right, [&](std::uint32_t row) { return sets[row].left > 0; });
  std::sort(outer.begin(), outer.end(), by_left);
  std::sort(inner.begin(), inner.end(), by_left);
  Rows out;
  std::vector<std::int32_t> open;
  std::size_t next = 0;
  for (const std::uint32_t row : inner) {
    while (next < outer.size() && sets[outer[next]].left < sets[row].left) {
      while (!open.empty() && open.back() < sets[outer[next]].left) open.pop_back();
      open.push_back(sets[outer[next]].right);
      ++next;
    }
    while (!open.empty() && open.back() < sets[row].left) open.pop_back();
    if (!open.empty()) out.push_back(row);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Rows ancestors(const Rows& left, const Rows& right, Sets sets) {
  std::vector<std::int32_t> lefts;
  for (const std::uint32_t row : left) {
    if (sets[row].left > 0) lefts.push_back(sets[row].left);
  }
  std::sort(lefts.begin(), lefts.end());
  return kept(right, [&](std::uint32_t row) {
    if (sets[row].left <= 0) return false;
    const auto below = std::upper_bound(lefts.begin(), lefts.end(), sets[row].left);
    return below != lefts.end() && *below < sets[row].right;
  });
}

Rows siblings(const Rows& left, const Rows& right, Sets sets) {
  std::unordered_map<std::int32_t, std::uint32_t> count_by_parent;
  for (const std::uint32_t row : left) {
    if (sets[row].parent > 0) ++count_by_parent[sets[row].parent];
  }
  return kept(right, [&](std::uint32_t row) {
    const auto found = count_by_parent.find(sets[row].parent);
    if (found == count_by_parent.end()) return false;
    const bool is_left_too = std::binary_search(left.begin(), left.end(), row);
    return found->second > (is_left_too ? 1U : 0U);
  });
}

/// Rows of `right` that stand in the relation to some row of `left`.
Rows related(const Rows& left, const Rows& right, Relation relation, Sets sets) {
  switch (relation) {
    case Relation::kChild: return children(left, right, sets);
    case Relation::kDescendant: return descendants(left, right, sets);
    case Relation::kParent: return parents(left, right, sets);
    case Relation::kAncestor: return ancestors(left, right, sets);
    case Relation::kSibling: return siblings(left, right, sets);
    case Relation::kAnd:
    case Relation::kOr: break;
  }
  return {};
}

Relation inverse(Relation relation) {
  switch (relation) {
    case Relation::kChild: return Relation::kParent;
    case Relation::kParent: return Relation::kChild;
    case Relation::kDescendant: return Relation::kAncestor;
    case Relation::kAncestor: return Relation::kDescendant;
    default: return relation;
  }
}

}  // namespace

Rows relate(const Rows& left, const Rows& right, Relation relation, RelationForm form,
            std::span<const NestedSet> sets) {
  if (relation == Relation::kOr) return united(left, right);
  if (relation == Relation::kAnd) {
    return left.empty() || right.empty() ? Rows() : united(left, right);
  }
  Rows found = related(left, right, relation, sets);
  if (form == RelationForm::kPlain) return found;
  if (form == RelationForm::kUnion) {
    return united(found, related(right, left, inverse(relation), sets));
  }
  Rows out;
  std::set_difference(right.begin(), right.end(), found.begin(), found.end(),
                      std::back_inserter(out));
  return out;
}

}  // namespace tarsier::tracing::traceql
