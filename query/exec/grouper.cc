#include "query/exec/grouper.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

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

Grouper::Grouper(Context& context, GroupBy by)
    : context_(context), by_(std::move(by)), loan_(context.memory) {
  std::sort(by_.labels.begin(), by_.labels.end());
  by_.labels.erase(std::unique(by_.labels.begin(), by_.labels.end()), by_.labels.end());
}

Result<std::vector<std::uint32_t>> Grouper::add(const VectorStream& stream) {
  constexpr std::size_t kLook = 4096;
  std::vector<std::uint32_t> groups(stream.size(), 0);
  if (by_.kind == GroupBy::Kind::kOnly && by_.labels.empty()) {
    if (!groups.empty() && groups_.empty()) TRY(new_group({}));
    return groups;
  }
  if (by_.kind == GroupBy::Kind::kOnly && by_.labels.size() == 1) {
    // Neighbours often share their value, and storage then shows the very same bytes.
    std::string_view last;
    std::uint32_t last_group = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (i % kLook == 0) TRY(context_.check_alive());
      const std::string_view value = stream.label(i, by_.labels.front());
      if (i == 0 || value.data() != last.data() || value.size() != last.size()) {
        last_group = TRY(group_of_single(value));
        last = value;
      }
      groups[i] = last_group;
    }
    return groups;
  }
  std::vector<tsdb::LabelView> kept;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i % kLook == 0) TRY(context_.check_alive());
    kept.clear();
    if (by_.kind == GroupBy::Kind::kOnly) {
      for (const std::string& name : by_.labels) {
        const std::string_view value = stream.label(i, name);
        if (!value.empty()) kept.push_back({name, value});
      }
      groups[i] = TRY(group_of(kept));
      continue;
    }
    const tsdb::Labels labels = stream.labels(i);
    for (const tsdb::LabelView& label : labels) {
      if (!std::binary_search(by_.labels.begin(), by_.labels.end(), label.name)) {
        kept.push_back(label);
      }
    }
    groups[i] = TRY(group_of(kept));
  }
  return groups;
}

Result<std::uint32_t> Grouper::group_of_single(std::string_view value) {
  if (const auto known = known_.find(value); known != known_.end()) return known->second;
  const std::string& name = by_.labels.front();
  const std::uint32_t group = TRY(new_group(tsdb::Labels{{name, value}}));
  known_.emplace(groups_[group].get(name), group);
  return group;
}

Result<std::uint32_t> Grouper::group_of(const std::vector<tsdb::LabelView>& kept) {
  key_.clear();
  for (const tsdb::LabelView& label : kept) {
    put_string(key_, label.name);
    put_string(key_, label.value);
  }
  if (const auto known = known_.find(key_); known != known_.end()) return known->second;
  const std::uint32_t group = TRY(new_group(tsdb::Labels::from_sorted(kept)));
  CHECK(groups_[group].encoded() == key_);
  known_.emplace(groups_[group].encoded(), group);
  return group;
}

Result<std::uint32_t> Grouper::new_group(tsdb::Labels labels) {
  constexpr std::uint64_t kEntryBytes = 64;  // In the map.
  TRY(loan_.grow(bytes_of(labels) + kEntryBytes));
  groups_.push_back(std::move(labels));
  return static_cast<std::uint32_t>(groups_.size() - 1);
}

}  // namespace tarsier::query
