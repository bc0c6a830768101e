#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/cancel.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"
#include "query/engine.h"
#include "query/value.h"
#include "tsdb/querier.h"

namespace tarsier::query {

/// Keeps the answers of range queries, so that a dashboard that asks again computes only the steps
/// that are new or of which the data changed (tsdb/change_log.h says which): answers are those of
/// the engine, bit for bit. What depends on more than the data up to each step is computed anew
/// always: `@`, negative offsets, `smoothed`, duration expressions, info(), limitk, and everything
/// with delayed name removal; so are answers with native histograms, warnings or infos. Any number
/// of threads; engine and storage must outlive it.
class ResultCache final {
 public:
  /// Holds up to `bytes_max` bytes of points and labels; the longest unused answers go first.
  ResultCache(const Engine& engine, tsdb::Queryable& storage, std::size_t bytes_max);

  /// As Engine::run of `query`, which the engine prepared from `request`.
  Result<QueryResult> run(const QueryRequest& request, const PreparedQuery& query,
                          const CancelToken* cancel);

  void collect(MetricWriter& out) const;

 private:
  /// Every step from `start` to `end`, as of `version` of the storage. Immutable.
  struct Answer {
    std::string key;
    Timestamp start;
    Timestamp end;
    std::uint64_t version = 0;
    std::vector<MatrixSeries> matrix;
    std::vector<Duration> resolutions;  // That served it.
    std::size_t bytes = 0;
  };
  using AnswerPtr = std::shared_ptr<const Answer>;

  AnswerPtr find(const std::string& key);
  void keep(Answer answer);
  void drop_last() REQUIRES_LOCK(mutex_);

  const Engine& engine_;
  tsdb::Queryable& storage_;
  const std::size_t bytes_max_;

  mutable Mutex mutex_;
  std::list<AnswerPtr> answers_ GUARDED_BY(mutex_);  // Last used first.
  std::unordered_map<std::string_view, std::list<AnswerPtr>::iterator> by_key_ GUARDED_BY(mutex_);
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;

  Counter hits_;  // Some steps, or all of them.
  Counter misses_;
  Counter steps_reused_;
  Counter steps_computed_;
};

}  // namespace tarsier::query
