#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/index/index_reader.h"
#include "tsdb/labels.h"
#include "tsdb/options.h"

namespace tarsier::tsdb {

/// Which series is kept how long (Options::retention_rules): every series has one rule, the first
/// that matches, and the default is the last. Coarser rows are kept at least as long as finer ones
/// and as samples. Immutable.
class RetentionRules final {
 public:
  explicit RetentionRules(const Options& options);

  /// Whether all series are kept alike, so that blocks go as a whole and nothing else.
  bool is_simple() const;
  std::size_t size() const { return rules_.size(); }
  const RetentionRule& rule(std::size_t i) const { return rules_[i]; }
  /// Absent: not kept; 0: without limit. 0 is the resolution of samples.
  std::optional<Duration> limit(std::size_t rule, Duration resolution) const;
  bool keeps_any_rows(std::size_t rule) const;

  std::size_t rule_of(const Labels& labels) const;
  /// The references of each rule's series, ascending.
  Result<std::vector<std::vector<std::uint32_t>>> divide(const IndexReader& index) const;

  /// Whether what ends at `end` is older than the limit.
  static bool is_due(std::optional<Duration> limit, Timestamp end, Timestamp newest);

 private:
  std::vector<RetentionRule> rules_;
  std::vector<Duration> resolutions_;
};

}  // namespace tarsier::tsdb
