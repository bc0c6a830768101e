#include "query/monitor.h"

#include <algorithm>
#include <utility>

#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "query/statistics_json.h"

namespace tarsier::query {

QueryMonitor::QueryMonitor(Options options, Clock clock, QueryLog& log)
    : options_(options), clock_(std::move(clock)), log_(log), made_(clock_.now()) {
  CHECK(clock_.now != nullptr && clock_.elapsed_seconds != nullptr);
}

void QueryMonitor::attach(std::unique_ptr<ActiveQueryLog> active) {
  const MutexLock lock(mutex_);
  active_ = std::move(active);
}

QueryMonitor::Run::Run(QueryMonitor& monitor, QueryRecord record,
                       std::shared_ptr<const QueryProgress> progress, std::size_t slot)
    : monitor_(monitor),
      record_(std::move(record)),
      progress_(std::move(progress)),
      slot_(slot),
      begun_seconds_(monitor.elapsed_seconds()) {}

QueryMonitor::Run::~Run() {
  if (!is_finished_) finish({}, 0, "the query was given up");
}

void QueryMonitor::Run::finish(const QueryStatistics& statistics, std::uint64_t series,
                               std::string error) {
  CHECK(!is_finished_);
  is_finished_ = true;
  record_.elapsed_seconds = monitor_.elapsed_seconds() - begun_seconds_;
  record_.samples_read = progress_->samples_read.load(std::memory_order_relaxed);
  record_.memory_bytes = statistics.memory_peak_bytes;
  record_.series = series;
  record_.error = std::move(error);
  monitor_.end(*this, statistics);
}

std::unique_ptr<QueryMonitor::Run> QueryMonitor::begin(
    QueryRecord record, std::shared_ptr<const QueryProgress> progress) {
  record.begun = clock_.now();
  usage_.note(record.text, record.origin ? std::string_view(record.origin->rule_group) : "",
              record.begun);
  std::shared_ptr<ActiveQueryLog> active;
  {
    const MutexLock lock(mutex_);
    active = active_;
  }
  const std::size_t slot =
      active ? active->insert(record.text, record.begun) : ActiveQueryLog::kNoSlot;
  const MutexLock lock(mutex_);
  record.id = ++last_id_;
  auto run = std::make_unique<Run>(*this, std::move(record), std::move(progress), slot);
  running_.push_back(run.get());
  return run;
}

void QueryMonitor::end(Run& run, const QueryStatistics& statistics) {
  const Timestamp now = clock_.now();
  std::shared_ptr<ActiveQueryLog> active;
  {
    const MutexLock lock(mutex_);
    running_.remove(&run);
    active = active_;
  }
  if (active) active->remove(run.slot_);
  if (run.record_.origin != nullptr)
    queue_seconds_.observe(run.record_.origin->queued_seconds, now);
  prepare_seconds_.observe(statistics.prepare_seconds, now);
  eval_seconds_.observe(statistics.eval_seconds, now);
  sort_seconds_.observe(statistics.sort_seconds, now);
  samples_read_.add(run.record_.samples_read);
  if (log_.is_on()) log_.write(log_line(run.record_, statistics));
  remember(run.record_);
}

void QueryMonitor::remember(QueryRecord record) {
  const Timestamp oldest = record.begun - options_.slow_for;
  // What listings show is enough; a query of megabytes must not stay.
  constexpr std::size_t kTextBytesMax = 4096;
  if (record.text.size() > kTextBytesMax) record.text.resize(kTextBytesMax);
  const MutexLock lock(mutex_);
  recent_.push_front(record);
  if (recent_.size() > options_.recent_max) recent_.pop_back();
  slow_.remove_if([&](const QueryRecord& r) { return r.begun < oldest; });
  const auto place = std::find_if(slow_.begin(), slow_.end(), [&](const QueryRecord& r) {
    return r.elapsed_seconds < record.elapsed_seconds;
  });
  slow_.insert(place, std::move(record));
  if (slow_.size() > options_.recent_max) slow_.pop_back();
}

std::string QueryMonitor::log_line(const QueryRecord& record,
                                   const QueryStatistics& statistics) const {
  std::string line;
  JsonWriter json(line);
  json.begin_object();
  json.field("time", format_rfc3339_ms(clock_.now())).field("level", "INFO");
  json.field("msg", "promql query logged");
  json.key("params").begin_object();
  json.field("end", format_rfc3339_ms(record.end)).field("query", record.text);
  json.field("start", format_rfc3339_ms(record.start)).field("step", record.step.ms / 1000);
  json.end_object();
  if (!record.error.empty()) json.field("error", record.error);
  json.key("stats");
  write_statistics(json, statistics, record.origin ? record.origin->queued_seconds : 0);
  if (record.origin != nullptr && !record.origin->method.empty()) {
    json.key("httpRequest").begin_object();
    json.field("clientIP", record.origin->client).field("method", record.origin->method);
    json.field("path", record.origin->path).end_object();
  }
  if (record.origin != nullptr && !record.origin->rule_group.empty()) {
    json.key("ruleGroup").begin_object();
    json.field("file", record.origin->rule_file).field("name", record.origin->rule_group);
    json.end_object();
  }
  json.end_object();
  return line;
}

std::vector<QueryRecord> QueryMonitor::running() const {
  const double now = clock_.elapsed_seconds();
  std::vector<QueryRecord> records;
  const MutexLock lock(mutex_);
  for (const Run* run : running_) {
    QueryRecord& record = records.emplace_back(run->record_);
    record.elapsed_seconds = now - run->begun_seconds_;
    record.samples_read = run->progress_->samples_read.load(std::memory_order_relaxed);
    record.memory_bytes = run->progress_->memory_bytes.load(std::memory_order_relaxed);
  }
  return records;
}

std::vector<QueryRecord> QueryMonitor::recent() const {
  const MutexLock lock(mutex_);
  return {recent_.begin(), recent_.end()};
}

std::vector<QueryRecord> QueryMonitor::slow() const {
  const Timestamp oldest = clock_.now() - options_.slow_for;
  std::vector<QueryRecord> records;
  const MutexLock lock(mutex_);
  for (const QueryRecord& record : slow_) {
    if (record.begun >= oldest) records.push_back(record);
  }
  return records;
}

bool QueryMonitor::cancel(std::uint64_t id) {
  const MutexLock lock(mutex_);
  for (const Run* run : running_) {
    if (run->record_.id != id) continue;
    if (run->record_.origin == nullptr || run->record_.origin->cancel == nullptr) return false;
    run->record_.origin->cancel->cancel();
    return true;
  }
  return false;
}

void QueryMonitor::collect(MetricWriter& out) const {
  const Timestamp now = clock_.now();
  std::size_t running_count = 0;
  {
    const MutexLock lock(mutex_);
    running_count = running_.size();
  }
  out.gauge("prometheus_engine_queries", "The current number of queries being executed or waiting.",
            static_cast<double>(running_count) +
                static_cast<double>(waiting_.load(std::memory_order_relaxed)));
  out.gauge("prometheus_engine_queries_concurrent_max", "The max number of concurrent queries.",
            static_cast<double>(options_.concurrency_max));
  const auto slice = [&](const SummaryMetric& summary, std::string_view name) {
    out.summary("prometheus_engine_query_duration_seconds", "Query timings", summary,
                {0.5, 0.9, 0.99}, now, {{"slice", name}});
  };
  slice(eval_seconds_, "inner_eval");
  slice(prepare_seconds_, "prepare_time");
  slice(queue_seconds_, "queue_time");
  slice(sort_seconds_, "result_sort");
  out.counter("prometheus_engine_query_samples_total",
              "The total number of samples loaded by all queries.",
              static_cast<double>(samples_read_.value()));
  out.counter("prometheus_engine_query_samples_read_total",
              "The total number of samples read by all queries.",
              static_cast<double>(samples_read_.value()));
  log_.collect(out);
}

}  // namespace tarsier::query
