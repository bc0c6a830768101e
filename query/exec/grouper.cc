#include "query/exec/grouper.h"

#include <algorithm>

namespace tarsier::query {

GroupBy grouping_of(const Aggregate& aggregate) {
  GroupBy by{aggregate.without ? GroupBy::Kind::kExcept : GroupBy::Kind::kOnly, aggregate.grouping};
  if (aggregate.without) by.labels.emplace_back(tsdb::kMetricName);
  return by;
}

GroupBy signature_of(const VectorMatching& matching) {
  GroupBy by{matching.on ? GroupBy::Kind::kOnly : GroupBy::Kind::kExcept, matching.labels};
  if (!matching.on) by.labels.emplace_back(tsdb::kMetricName);
  return by;
}

Grouper::Grouper(GroupBy by) : by_(std::move(by)) {
  std::sort(by_.labels.begin(), by_.labels.end());
  by_.labels.erase(std::unique(by_.labels.begin(), by_.labels.end()), by_.labels.end());
}

std::vector<std::uint32_t> Grouper::add(const VectorStream& stream) {
  std::vector<std::uint32_t> groups(stream.size(), 0);
  if (by_.kind == GroupBy::Kind::kOnly && by_.labels.empty()) {
    if (!groups.empty()) group_of(tsdb::Labels());
    return groups;
  }
  if (by_.kind == GroupBy::Kind::kOnly && by_.labels.size() == 1) {
    // Neighbours often share their value, and storage then shows the very same bytes.
    std::string_view last;
    std::uint32_t last_group = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const std::string_view value = stream.label(i, by_.labels.front());
      if (i == 0 || value.data() != last.data() || value.size() != last.size()) {
        last_group = group_of_single(value);
        last = value;
      }
      groups[i] = last_group;
    }
    return groups;
  }
  std::vector<tsdb::LabelView> kept;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    kept.clear();
    if (by_.kind == GroupBy::Kind::kOnly) {
      for (const std::string& name : by_.labels) {
        const std::string_view value = stream.label(i, name);
        if (!value.empty()) kept.push_back({name, value});
      }
      groups[i] = group_of(tsdb::Labels::from_sorted(kept));
      continue;
    }
    const tsdb::Labels labels = stream.labels(i);
    for (const tsdb::LabelView& label : labels) {
      if (!std::binary_search(by_.labels.begin(), by_.labels.end(), label.name)) {
        kept.push_back(label);
      }
    }
    groups[i] = group_of(tsdb::Labels::from_sorted(kept));
  }
  return groups;
}

std::uint32_t Grouper::group_of_single(std::string_view value) {
  if (const auto known = by_value_.find(value); known != by_value_.end()) return known->second;
  const auto group = static_cast<std::uint32_t>(groups_.size());
  by_value_.emplace(value, group);
  groups_.push_back(tsdb::Labels{{by_.labels.front(), value}});
  return group;
}

std::uint32_t Grouper::group_of(tsdb::Labels labels) {
  const auto [it, is_new] =
      by_labels_.try_emplace(std::move(labels), static_cast<std::uint32_t>(groups_.size()));
  if (is_new) groups_.push_back(it->first);
  return it->second;
}

}  // namespace tarsier::query
