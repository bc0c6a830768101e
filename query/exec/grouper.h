#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "query/exec/context.h"
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

/// Numbers groups in order of first appearance, over one or several streams. Their labels count as
/// the query's memory while it lives.
class Grouper final {
 public:
  Grouper(Context& context, GroupBy by);

  /// The group of each series of `stream`. kLimit when there are more than the query may hold.
  Result<std::vector<std::uint32_t>> add(const VectorStream& stream);
  std::size_t group_count() const { return groups_.size(); }
  /// The labels by which the group was made.
  const tsdb::Labels& labels(std::size_t group) const { return groups_[group]; }

 private:
  Result<std::uint32_t> group_of_single(std::string_view value);
  Result<std::uint32_t> group_of(const std::vector<tsdb::LabelView>& kept);
  Result<std::uint32_t> new_group(tsdb::Labels labels);

  Context& context_;
  GroupBy by_;
  MemoryLoan loan_;
  std::deque<tsdb::Labels> groups_;  // Stay where they are: the maps look at their bytes.
  // By the value when grouping by one label, otherwise by the labels' encoding.
  std::unordered_map<std::string_view, std::uint32_t> known_;
  std::string key_;
};

}  // namespace tarsier::query
