#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "query/exec/stream.h"
#include "query/parse/ast.h"

namespace tarsier::query {

/// Puts series into groups by some of their labels: what on(), ignoring(), by() and without() mean.
/// Works per series, before any value is read; the labels of a group are built once per group.
struct GroupBy {
  enum class Kind : unsigned char { kOnly, kExcept };
  Kind kind = Kind::kOnly;
  std::vector<std::string> labels;
};

/// by(...) or without(...); without drops the metric name too.
GroupBy grouping_of(const Aggregate& aggregate);
/// on(...) or ignoring(...); ignoring ignores the metric name too.
GroupBy signature_of(const VectorMatching& matching);

/// Numbers groups in order of first appearance, over one or several streams.
class Grouper final {
 public:
  explicit Grouper(GroupBy by);

  /// The group of each series of `stream`.
  std::vector<std::uint32_t> add(const VectorStream& stream);
  std::size_t group_count() const { return groups_.size(); }
  /// The labels by which the group was made.
  const tsdb::Labels& labels(std::size_t group) const { return groups_[group]; }

 private:
  std::uint32_t group_of_single(std::string_view value);
  std::uint32_t group_of(tsdb::Labels labels);

  GroupBy by_;
  std::vector<tsdb::Labels> groups_;
  /// Finds by view, so that a known group costs no allocation.
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  // When grouping by one label.
  std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> by_value_;
  std::unordered_map<tsdb::Labels, std::uint32_t> by_labels_;
};

}  // namespace tarsier::query
