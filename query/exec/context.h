#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "query/engine.h"
#include "query/exec/annotator.h"
#include "query/exec/histogram_pool.h"
#include "query/exec/memory_budget.h"
#include "query/exec/row.h"
#include "query/exec/step_counter.h"
#include "query/monitor.h"
#include "tsdb/resolution.h"
#include "tsdb/sample.h"

namespace tarsier::query {

/// Buffers one thread uses again and again while it computes rows. One thread at a time.
class Scratch final {
 public:
  /// A buffer on loan: goes back when the lease ends.
  template <typename T>
  class Lease final {
   public:
    Lease(std::vector<std::unique_ptr<T>>& home, std::unique_ptr<T> buffer)
        : home_(home), buffer_(std::move(buffer)) {}
    ~Lease() { home_.push_back(std::move(buffer_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    T& operator*() { return *buffer_; }
    T* operator->() { return buffer_.get(); }

   private:
    std::vector<std::unique_ptr<T>>& home_;
    std::unique_ptr<T> buffer_;
  };

  /// At least `count` doubles of unknown content.
  Lease<std::vector<double>> doubles(std::size_t count) {
    auto buffer = take(doubles_);
    if (buffer->size() < count) buffer->resize(count);
    return {doubles_, std::move(buffer)};
  }
  /// Empty columns.
  Lease<tsdb::SampleColumns> columns() {
    auto buffer = take(columns_);
    buffer->clear();
    return {columns_, std::move(buffer)};
  }
  Lease<tsdb::HistogramColumns> histogram_columns() {
    auto buffer = take(histogram_columns_);
    buffer->clear();
    return {histogram_columns_, std::move(buffer)};
  }
  /// Where the histograms of rows that are being read live, until the reader's HistogramScope ends.
  HistogramPool& histograms() { return histograms_; }
  /// An empty list of positions.
  Lease<std::vector<std::uint32_t>> indices() {
    auto buffer = take(indices_);
    buffer->clear();
    return {indices_, std::move(buffer)};
  }

 private:
  template <typename T>
  static std::unique_ptr<T> take(std::vector<std::unique_ptr<T>>& home) {
    if (home.empty()) return std::make_unique<T>();
    std::unique_ptr<T> buffer = std::move(home.back());
    home.pop_back();
    return buffer;
  }

  std::vector<std::unique_ptr<std::vector<double>>> doubles_;
  std::vector<std::unique_ptr<tsdb::SampleColumns>> columns_;
  std::vector<std::unique_ptr<std::vector<std::uint32_t>>> indices_;
  std::vector<std::unique_ptr<tsdb::HistogramColumns>> histogram_columns_;
  HistogramPool histograms_;
};

/// How many values the query holds, against what it may. Any number of threads.
class SampleBudget final {
 public:
  explicit SampleBudget(std::uint64_t max) : max_(max) {}
  /// kLimit when that would be too many; they are then not counted.
  Status hold(std::uint64_t count);
  /// What hold() says of values that are dropped at once: without a write for each series.
  Status pass(std::uint64_t count);
  void release(std::uint64_t count) { held_.fetch_sub(count, std::memory_order_relaxed); }
  std::uint64_t peak() const { return peak_.load(std::memory_order_relaxed); }

 private:
  void note_peak(std::uint64_t held);

  const std::uint64_t max_;
  std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint64_t> peak_{0};
};

/// How long work on one row goes on without asking check_alive(): less than a millisecond.
inline constexpr std::size_t kStepsBetweenLooks = std::size_t{1} << 16;

class Analysis;

/// What one run of a query shares: limits, annotations, threads. Lives from the first selection to
/// the finished result. Any number of threads.
class Context final {
 public:
  Context(const EngineOptions& engine_options, ThreadPool* thread_pool,
          const CancelToken* cancel_token, std::string_view query_text,
          MemoryTotal* memory_total = nullptr)
      : options(engine_options),
        annotator(query_text),
        budget(engine_options.samples_max),
        memory(engine_options.memory_max, engine_options.memory_total_max, memory_total,
               progress->memory_bytes),
        pool_(thread_pool),
        cancel_(cancel_token) {}

  /// Fails once the query was cancelled or ran out of time.
  Status check_alive() const;
  const CancelToken* cancel_token() const { return cancel_; }

  /// kLimit when rows of that many series and steps would be beyond reason; asked before they are
  /// allocated. More generous than the budget, which counts only values that exist.
  Status check_dense(std::size_t series_count, std::size_t step_count) const;

  /// Counts samples read from storage. kLimit beyond the asker's ceiling.
  Status count_read(std::uint64_t samples);

  /// Runs `task(i, scratch)` for i < count, on several threads if there are, and gives the error of
  /// the lowest i that failed. What a task does must depend on i alone: so results never depend on
  /// the number of threads.
  Status run_tasks(std::size_t count, const std::function<Status(std::size_t, Scratch&)>& task);

  const EngineOptions& options;
  const std::shared_ptr<QueryProgress> progress = std::make_shared<QueryProgress>();
  Annotator annotator;
  SampleBudget budget;
  MemoryBudget memory;
  std::atomic<std::uint64_t>& samples_read = progress->samples_read;
  std::uint64_t samples_ceiling = 0;  ///< Of samples read; 0 is none.
  std::size_t samples_per_row = 0;    ///< As Plan::samples_per_row: cuts work into tasks.
  /// Only for queries that count their steps.
  std::optional<StepCounter> step_counter;
  /// The monitor's clock, or zero.
  std::function<double()> elapsed_seconds = [] { return 0.0; };
  /// Only for queries that are to be explained.
  Analysis* analysis = nullptr;
  double find_seconds = 0;         ///< What opening the selections took.
  tsdb::ServedResolutions served;  ///< Of the selections, once they are open.

 private:
  ThreadPool* const pool_;
  const CancelToken* const cancel_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::query
