#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"
#include "tsdb/matcher.h"

namespace tarsier::query {

/// Which metrics queries and rules have read since the start, so that somebody can say which nobody
/// does. Bounded: beyond that names are forgotten to be unused, never to be used. Any number of
/// threads.
class MetricUsage final {
 public:
  struct Options {
    std::size_t names_max = 100'000;
    std::size_t patterns_max = 1'000;  ///< Selectors that name no metric exactly.
    std::size_t texts_max = 4'096;     ///< Texts whose selectors are remembered.
    std::size_t text_length_max = 64 << 10;
  };
  struct Use {
    Timestamp last = kMinTimestamp;
    std::uint64_t queries = 0;  ///< By people and dashboards.
    std::uint64_t rules = 0;    ///< Evaluations of rules.
    std::string rule_group;     ///< The last one that read it.
  };
  MetricUsage() : MetricUsage(Options{}) {}
  explicit MetricUsage(Options options) : options_(options) {}

  /// A query that begins; of a rule when `rule_group` is not empty. What is no expression is no
  /// use.
  void note(std::string_view text, std::string_view rule_group, Timestamp now);
  /// Empty when nobody has read it.
  std::optional<Use> of(std::string_view metric) const;
  /// More selectors came than can be remembered: what seems unused may be used.
  bool is_complete() const;

 private:
  struct Pattern {
    std::vector<tsdb::Matcher> matchers;  // Of the name.
    Use use;
  };
  /// What one text reads, as places in the lists below.
  struct Reads {
    std::vector<std::string> names;
    std::vector<std::string> patterns;
  };
  static Reads reads_of(std::string_view text, std::map<std::string, Pattern>& patterns);

  const Options options_;
  mutable Mutex mutex_;
  bool is_complete_ GUARDED_BY(mutex_) = true;
  std::unordered_map<std::string, Reads> texts_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Use> names_ GUARDED_BY(mutex_);
  std::map<std::string, Pattern> patterns_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::query
