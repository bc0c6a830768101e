#include "query/result_cache.h"

#include <algorithm>
#include <utility>

#include "query/parse/ast.h"
#include "query/plan/plan.h"
#include "tsdb/change_log.h"

namespace tarsier::query {
namespace {

/// No answer may push more than this share of the others out.
constexpr std::size_t kShareOfOneAnswer = 8;

bool looks_back_only(const TimeShift& shift) {
  return !shift.at && shift.offset.expression == nullptr && shift.offset.constant.ms >= 0;
}

/// Whether each step depends on the data up to its time and on nothing else of the query.
bool is_reusable(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kSelector: {
      const auto& selector = as<Selector>(e);
      if (!looks_back_only(selector.shift) || selector.smoothed) return false;
      break;
    }
    case ExprKind::kRange:
      if (as<Range>(e).range.expression != nullptr) return false;
      break;
    case ExprKind::kSubquery: {
      const auto& subquery = as<Subquery>(e);
      if (!looks_back_only(subquery.shift) || subquery.range.expression != nullptr ||
          subquery.step.expression != nullptr) {
        return false;
      }
      break;
    }
    case ExprKind::kCall:
      // Which series inform is chosen for the whole query.
      if (as<Call>(e).function.name == "info") return false;
      break;
    case ExprKind::kAggregate:
      // Takes the first series it meets, of all of the query.
      if (as<Aggregate>(e).op == AggregateOp::kLimitk) return false;
      break;
    default: break;
  }
  return std::ranges::all_of(children_of(e), [](const Expr* child) { return is_reusable(*child); });
}

std::string key_of(const QueryRequest& request) {
  // Only queries whose steps fall on the same times share an answer.
  const std::int64_t phase = request.start.ms % request.step.ms;
  std::string key;
  const auto mode = static_cast<std::int64_t>(request.resolution.mode);
  for (const std::int64_t part :
       {request.step.ms, phase, request.lookback_delta.ms, mode, request.resolution.max.ms}) {
    key += std::to_string(part);
    key += ' ';
  }
  return key += request.text;
}

std::size_t bytes_of(const QueryResult& result) {
  std::size_t bytes = 0;
  for (const MatrixSeries& series : result.matrix) {
    bytes += sizeof series + series.points.size() * 16;
    for (const auto& label : series.labels) bytes += label.name.size() + label.value.size() + 4;
  }
  return bytes;
}

/// The points of `series` from `start` to `end`.
MatrixSeries part_of(const MatrixSeries& series, Timestamp start, Timestamp end) {
  const std::vector<std::int64_t>& times = series.points.times_ms;
  const auto first = std::ranges::lower_bound(times, start.ms) - times.begin();
  const auto last = std::ranges::upper_bound(times, end.ms) - times.begin();
  MatrixSeries part;
  if (first >= last) return part;
  part.labels = series.labels;
  part.points.times_ms.assign(times.begin() + first, times.begin() + last);
  const auto values = series.points.values.begin();
  part.points.values.assign(values + first, values + last);
  return part;
}

/// `later` has the steps after those of `earlier`; both are sorted by labels.
std::vector<MatrixSeries> joined(std::vector<MatrixSeries> earlier,
                                 std::vector<MatrixSeries> later) {
  if (later.empty()) return earlier;
  std::vector<MatrixSeries> all;
  all.reserve(std::max(earlier.size(), later.size()));
  auto left = earlier.begin();
  auto right = later.begin();
  while (left != earlier.end() || right != later.end()) {
    if (right == later.end() || (left != earlier.end() && left->labels < right->labels)) {
      all.push_back(std::move(*left++));
    } else if (left == earlier.end() || right->labels < left->labels) {
      all.push_back(std::move(*right++));
    } else {
      tsdb::SampleColumns& points = left->points;
      const tsdb::SampleColumns& more = right->points;
      points.times_ms.insert(points.times_ms.end(), more.times_ms.begin(), more.times_ms.end());
      points.values.insert(points.values.end(), more.values.begin(), more.values.end());
      all.push_back(std::move(*left++));
      ++right;
    }
  }
  return all;
}

bool has_annotations(const QueryResult& result) {
  return !result.annotations.warnings.empty() || !result.annotations.infos.empty();
}

bool has_histograms(const QueryResult& result) {
  return std::ranges::any_of(
      result.matrix, [](const MatrixSeries& series) { return series.histograms != nullptr; });
}

}  // namespace

ResultCache::ResultCache(const Engine& engine, tsdb::Queryable& storage, std::size_t bytes_max)
    : engine_(engine), storage_(storage), bytes_max_(bytes_max) {}

Result<QueryResult> ResultCache::run(const QueryRequest& request, const PreparedQuery& query,
                                     const CancelToken* cancel) {
  const tsdb::ChangeLog* const changes = storage_.changes();
  if (changes == nullptr || request.step.ms <= 0 || request.counts_steps ||
      engine_.options().delayed_name_removal || !is_reusable(*query.plan_->root)) {
    return engine_.run(storage_, query, cancel);
  }
  // Before anything is read: what comes later makes the answer old, whether it was seen or not.
  const std::uint64_t version = changes->version();
  const Grid& grid = query.plan_->grid;
  const Timestamp start{grid.start_ms};
  const Timestamp end{grid.start_ms + grid.step_ms * static_cast<std::int64_t>(grid.count - 1)};

  const std::string key = key_of(request);
  const AnswerPtr known = find(key);
  Timestamp reused_until = kMinTimestamp;  // The last step that is not computed.
  if (known != nullptr && known->start <= start) {
    const Timestamp changed = changes->oldest_since(known->version);
    const Timestamp last = std::min({known->end, end, changed - milliseconds(1)});
    if (last >= start) {
      reused_until = start + milliseconds((last - start).ms / grid.step_ms * grid.step_ms);
    }
  }

  QueryResult result;
  if (reused_until < start) {
    misses_.add();
    result = TRY(engine_.run(storage_, query, cancel));
    steps_computed_.add(grid.count);
  } else {
    hits_.add();
    const auto reused = static_cast<std::size_t>((reused_until - start).ms / grid.step_ms) + 1;
    if (reused < grid.count) {
      QueryRequest rest = request;
      rest.start = reused_until + request.step;
      const PreparedQuery prepared = TRY(engine_.prepare(rest));
      result = TRY(engine_.run(storage_, prepared, cancel));
    } else {
      result.type = ResultType::kMatrix;
    }
    steps_reused_.add(reused);
    steps_computed_.add(grid.count - reused);
    if (!has_histograms(result)) {
      std::vector<MatrixSeries> earlier;
      earlier.reserve(known->matrix.size());
      for (const MatrixSeries& series : known->matrix) {
        MatrixSeries part = part_of(series, start, reused_until);
        if (part.points.size() > 0) earlier.push_back(std::move(part));
      }
      result.matrix = joined(std::move(earlier), std::move(result.matrix));
      tsdb::ServedResolutions served;
      for (const Duration resolution : known->resolutions) served.add(resolution);
      for (const Duration resolution : result.statistics.resolutions) served.add(resolution);
      result.statistics.resolutions = served.all();
    } else {
      result = TRY(engine_.run(storage_, query, cancel));
    }
  }

  // Looking closer at a part of what is known, say, leaves it known.
  const bool is_part = reused_until == end && known->end >= end;
  // What is told of a step must go with it, and nobody knows of which step it was told.
  if (is_part || has_histograms(result) || has_annotations(result)) return result;
  const std::size_t bytes = bytes_of(result) + key.size() + sizeof(Answer);
  if (bytes > bytes_max_ / kShareOfOneAnswer) return result;
  keep({key, start, end, version, result.matrix, result.statistics.resolutions, bytes});
  return result;
}

ResultCache::AnswerPtr ResultCache::find(const std::string& key) {
  const MutexLock lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  answers_.splice(answers_.begin(), answers_, found->second);
  return answers_.front();
}

void ResultCache::keep(Answer answer) {
  auto kept = std::make_shared<const Answer>(std::move(answer));
  const MutexLock lock(mutex_);
  const auto found = by_key_.find(kept->key);
  if (found != by_key_.end()) {
    answers_.splice(answers_.end(), answers_, found->second);
    drop_last();
  }
  bytes_ += kept->bytes;
  answers_.push_front(std::move(kept));
  by_key_.emplace(answers_.front()->key, answers_.begin());
  while (bytes_ > bytes_max_) drop_last();
}

void ResultCache::drop_last() {
  bytes_ -= answers_.back()->bytes;
  by_key_.erase(answers_.back()->key);
  answers_.pop_back();
}

void ResultCache::collect(MetricWriter& out) const {
  out.counter("tarsier_query_result_cache_hits_total",
              "Range queries of which some steps were known.", static_cast<double>(hits_.value()));
  out.counter("tarsier_query_result_cache_misses_total",
              "Range queries that could have been known and were not.",
              static_cast<double>(misses_.value()));
  out.counter("tarsier_query_result_cache_steps_reused_total",
              "Steps of range queries that were known.",
              static_cast<double>(steps_reused_.value()));
  out.counter("tarsier_query_result_cache_steps_computed_total",
              "Steps of range queries that were computed and could have been known.",
              static_cast<double>(steps_computed_.value()));
  const MutexLock lock(mutex_);
  out.gauge("tarsier_query_result_cache_bytes", "Bytes of the answers that are kept.",
            static_cast<double>(bytes_));
  out.gauge("tarsier_query_result_cache_answers", "Answers that are kept.",
            static_cast<double>(answers_.size()));
}

}  // namespace tarsier::query
