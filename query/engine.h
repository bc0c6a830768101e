#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/cancel.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "base/time.h"
#include "query/explain.h"
#include "query/resolution.h"
#include "query/value.h"
#include "tsdb/querier.h"

namespace tarsier::query {

/// How PromQL is understood and what a query may cost. The defaults are a Prometheus server's.
struct EngineOptions {
  // What changes behaviour.

  /// How old the newest sample of a series may be before an instant selector ignores it
  /// (exclusive).
  Duration lookback_delta = minutes(5);
  /// The step of a subquery that does not name one: the global evaluation interval.
  Duration subquery_step = minutes(1);
  bool experimental_functions = false;    ///< Also limitk and limit_ratio.
  bool extended_range_selectors = false;  ///< `anchored` and `smoothed`.
  bool binary_fill_modifiers = false;     ///< `fill`, `fill_left`, `fill_right`.
  /// Counters are reset where the start timestamps of samples say so; `start_timestamp()` answers.
  bool start_timestamps = false;
  /// Series say in `__type__` whether they are counters; their names do not count.
  bool type_and_unit_labels = false;
  /// Names are removed when the query ends instead of by each function.
  bool delayed_name_removal = false;

  // What changes cost only.

  /// Values a query may hold in memory at once.
  std::uint64_t samples_max = 50'000'000;
  /// Bytes of tables, label sets and results one query may hold; 0 is no limit.
  std::uint64_t memory_max = 0;
  /// The same for all queries together.
  std::uint64_t memory_total_max = 0;
};

struct QueryOrigin;

/// One question. An instant query has `step` 0 and start == end; anything with a step is a range
/// query, also when it has one step only.
struct QueryRequest {
  std::string text;
  Timestamp start;
  Timestamp end;  ///< Inclusive; need not be a whole number of steps after `start`.
  Duration step{0};
  Duration lookback_delta{0};  ///< 0: the engine's.
  /// Counts samples step by step: `stats` in the API. Costs a second look at what is read.
  bool counts_steps = false;
  /// Tells what every operator did, in the statistics of the result: `stats=all`.
  bool analyzes = false;
  /// What the asker does not want to be exceeded; 0 is no ceiling.
  std::uint64_t series_ceiling = 0;   ///< Series selected, those of each selection counted.
  std::uint64_t samples_ceiling = 0;  ///< Samples read.
  ResolutionWish resolution = {};
  /// For whoever lists and logs queries; may be null.
  std::shared_ptr<const QueryOrigin> origin = nullptr;
};

class Context;
struct Plan;
struct MemoryTotal;
class QueryMonitor;

/// A query that was understood: parsed, type-checked and planned for its times. Immutable; may be
/// run any number of times, by any number of threads.
class PreparedQuery final {
 public:
  ResultType type() const;

 private:
  friend class Engine;
  friend class ResultCache;
  explicit PreparedQuery(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
  std::shared_ptr<const Plan> plan_;
};

/// Evaluates PromQL against whatever is Queryable. Stateless beside its options and the memory its
/// queries hold: any number of threads, queries do not know of each other. Two steps, because they
/// fail differently: what prepare() refuses is the asker's mistake (400 bad_data), what run()
/// refuses became known with the data.
class Engine final {
 public:
  /// `pool` may be null: queries then use the calling thread only. `monitor`, told of every query,
  /// may be null too. Both must outlive the engine.
  Engine(EngineOptions options, ThreadPool* pool, QueryMonitor* monitor = nullptr);
  ~Engine();

  /// Always kInvalid when it fails, with the text to show: `1:5: parse error: ...`, or what is
  /// wrong with a type or a duration. Also kInvalid when `end` is before `start` or `step` is
  /// negative. The limit on points per series is the API's.
  Result<PreparedQuery> prepare(const QueryRequest& request) const;

  /// kInvalid: the query cannot be evaluated on this data (422 execution). kLimit: it needs more
  /// samples than allowed (422 execution). kTimeout or kCancelled: `cancel` expired or was
  /// cancelled; it may be null. Any other code: storage failed.
  Result<QueryResult> run(tsdb::Queryable& storage, const PreparedQuery& query,
                          const CancelToken* cancel) const;

  /// The operators of the plan. With `analyze`, the query is run for it, like run(), and each tells
  /// what it did.
  Result<Explanation> explain(tsdb::Queryable& storage, const PreparedQuery& query, bool analyze,
                              const CancelToken* cancel) const;
  /// What running the query would read, from the series it selects and a sample of their density.
  Result<QueryCost> estimate(tsdb::Queryable& storage, const PreparedQuery& query,
                             const CancelToken* cancel) const;

  const EngineOptions& options() const { return options_; }

 private:
  Result<QueryResult> run_in(Context& context, const Plan& plan, tsdb::Queryable& storage) const;

  const EngineOptions options_;
  ThreadPool* const pool_;
  QueryMonitor* const monitor_;
  const std::unique_ptr<MemoryTotal> memory_total_;
};

}  // namespace tarsier::query
