#include "tracing/generated_series.h"

#include <utility>

#include "base/number_text.h"
#include "tsdb/sample.h"

namespace tarsier::tracing {

std::size_t SeriesForm::series_per_row() const {
  std::size_t n = counters.size();
  for (const Histogram& histogram : histograms) {
    if (!histogram.buckets.bounds.empty()) n += histogram.buckets.bounds.size() + 3;
    if (histogram.buckets.has_native) ++n;
  }
  return n;
}

/// What is taken from a row under its lock, to be written without it.
struct GeneratedSeries::Pending {
  Entry* entry = nullptr;
  Hash128 key;
  bool is_stale = false;
  std::vector<double> values;  // Counters; per classic histogram its buckets, sum and count.
  std::vector<tsdb::FloatHistogram> natives;
  std::optional<RowExemplar> exemplar;
  std::size_t exemplar_bucket = 0;
};

GeneratedSeries::Entry::Entry(const SeriesForm& form, tsdb::Labels l, Timestamp now)
    : row{.counters = std::vector<double>(form.counters.size()), .updated = now},
      labels(std::move(l)) {
  for (const SeriesForm::Histogram& histogram : form.histograms) {
    row.histograms.emplace_back(histogram.buckets);
  }
}

GeneratedSeries::GeneratedSeries(Options options, Timestamp now)
    : options_(std::move(options)), written_(now) {
  for (const std::string& name : options_.form.counters) columns_.push_back({.name = name});
  for (const SeriesForm::Histogram& histogram : options_.form.histograms) {
    if (!histogram.buckets.bounds.empty()) {
      for (const double bound : histogram.buckets.bounds) {
        columns_.push_back({.name = histogram.name + "_bucket", .le = plain_number(bound)});
      }
      columns_.push_back({.name = histogram.name + "_bucket", .le = "+Inf"});
      columns_.push_back({.name = histogram.name + "_sum"});
      columns_.push_back({.name = histogram.name + "_count"});
    }
    if (histogram.buckets.has_native) columns_.push_back({.name = histogram.name});
  }
}

GeneratedSeries::~GeneratedSeries() = default;

GeneratedSeries::Creation GeneratedSeries::create(const Hash128& key, tsdb::Labels labels,
                                                  Timestamp now, Bound bound) {
  auto entry = std::make_unique<Entry>(options_.form, std::move(labels), now);
  Shard& shard = shard_of(key);
  const MutexLock lock(shard.mutex);
  if (shard.rows.contains(key)) return Creation::kExists;
  // Several threads may exceed the bound by one row each: a bound, not a promise.
  if (bound == Bound::kKeep && row_count() >= options_.rows_max) return Creation::kFull;
  shard.rows.emplace(key, std::move(entry));
  row_count_.fetch_add(1, std::memory_order_relaxed);
  return Creation::kCreated;
}

void GeneratedSeries::write(tsdb::Appender& appender, Timestamp now,
                            const std::function<void(const tsdb::Labels&)>& forgotten) {
  appender.refuse_out_of_order();
  std::vector<Pending> pending;
  for (Shard& shard : shards_) {
    pending.clear();
    gather(shard, now, pending);
    for (Pending& one : pending) write_row(appender, one, now);
    for (const Pending& one : pending) {
      if (!one.is_stale) continue;
      std::unique_ptr<Entry> gone;
      {
        const MutexLock lock(shard.mutex);
        // A span may have come meanwhile: the row then goes on behind its marker.
        if (one.entry->row.updated + options_.stale_after > now) continue;
        const auto found = shard.rows.find(one.key);
        gone = std::move(found->second);
        shard.rows.erase(found);
      }
      row_count_.fetch_sub(1, std::memory_order_relaxed);
      if (forgotten) forgotten(gone->labels);
    }
  }
  written_ = now;
}

void GeneratedSeries::gather(Shard& shard, Timestamp now, std::vector<Pending>& out) {
  const MutexLock lock(shard.mutex);
  out.reserve(shard.rows.size());
  for (const auto& [key, entry] : shard.rows) {
    SeriesRow& row = entry->row;
    Pending one{
        .entry = entry.get(), .key = key, .is_stale = row.updated + options_.stale_after <= now};
    if (!one.is_stale) {
      one.values = row.counters;
      for (std::size_t i = 0; i < row.histograms.size(); ++i) {
        const LatencyHistogram& histogram = row.histograms[i];
        const LatencyBuckets& buckets = options_.form.histograms[i].buckets;
        if (!buckets.bounds.empty()) {
          histogram.append_cumulative(one.values);
          one.values.push_back(histogram.sum());
          one.values.push_back(histogram.count());
        }
        if (buckets.has_native) one.natives.push_back(histogram.native());
      }
      one.exemplar = std::exchange(row.exemplar, std::nullopt);
      if (one.exemplar) one.exemplar_bucket = row.histograms[0].bucket_of(one.exemplar->value);
    }
    out.push_back(std::move(one));
  }
}

void GeneratedSeries::write_row(tsdb::Appender& appender, Pending& pending, Timestamp now) {
  Entry& entry = *pending.entry;
  const bool is_new = !std::exchange(entry.is_written, true);
  entry.refs.resize(columns_.size());
  if (pending.is_stale) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (entry.refs[i].value != 0) appender.append(entry.refs[i], {now, tsdb::stale_marker()});
    }
    entry.is_written = false;  // Whoever comes back begins with a zero again.
    return;
  }
  std::size_t column = 0;
  std::size_t value = 0;
  std::size_t native = 0;
  for (; column < options_.form.counters.size(); ++column) {
    write_value(appender, entry, column, pending.values[value++], is_new, now);
  }
  const std::size_t first_bucket = column;
  for (const SeriesForm::Histogram& histogram : options_.form.histograms) {
    if (!histogram.buckets.bounds.empty()) {
      const std::size_t end = column + histogram.buckets.bounds.size() + 3;
      for (; column < end; ++column) {
        write_value(appender, entry, column, pending.values[value++], is_new, now);
      }
    }
    if (histogram.buckets.has_native) {
      write_native(appender, entry, column++, std::move(pending.natives[native++]), is_new, now);
    }
  }
  if (!pending.exemplar) return;
  const bool has_classic = !options_.form.histograms[0].buckets.bounds.empty();
  const std::size_t at = first_bucket + (has_classic ? pending.exemplar_bucket : 0);
  if (at >= columns_.size() || entry.refs[at].value == 0) return;
  const std::string trace = to_hex(pending.exemplar->trace_id);
  appender.append_exemplar(entry.refs[at], {.labels = {{options_.exemplar_label, trace}},
                                            .value = pending.exemplar->value,
                                            .t = pending.exemplar->t});
}

void GeneratedSeries::write_value(tsdb::Appender& appender, Entry& entry, std::size_t column,
                                  double v, bool is_new, Timestamp now) {
  if (!resolve(appender, entry, column)) return;
  const auto append = [&](tsdb::Sample sample) {
    return appender.append(entry.refs[column], sample);
  };
  if (is_new && written_ < now) append({written_, 0.0});
  if (append({now, v}) != tsdb::AppendOutcome::kUnknownSeries) return;
  entry.refs[column] = {};  // The head dropped it.
  if (resolve(appender, entry, column)) append({now, v});
}

void GeneratedSeries::write_native(tsdb::Appender& appender, Entry& entry, std::size_t column,
                                   tsdb::FloatHistogram histogram, bool is_new, Timestamp now) {
  if (!resolve(appender, entry, column)) return;
  if (is_new && written_ < now) {
    tsdb::FloatHistogram empty;
    empty.layout.schema = histogram.layout.schema;
    empty.layout.zero_threshold = histogram.layout.zero_threshold;
    appender.append_float_histogram(entry.refs[column], written_, std::move(empty));
  }
  const auto outcome = appender.append_float_histogram(entry.refs[column], now, histogram);
  if (outcome != tsdb::AppendOutcome::kUnknownSeries) return;
  entry.refs[column] = {};
  if (resolve(appender, entry, column)) {
    appender.append_float_histogram(entry.refs[column], now, std::move(histogram));
  }
}

bool GeneratedSeries::resolve(tsdb::Appender& appender, Entry& entry, std::size_t column) {
  if (entry.refs[column].value != 0) return true;
  const Result<tsdb::SeriesRef> ref = appender.resolve(labels_of(entry, column));
  if (!ref.ok()) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  entry.refs[column] = *ref;
  return true;
}

tsdb::Labels GeneratedSeries::labels_of(const Entry& entry, std::size_t column) const {
  tsdb::LabelsBuilder builder(entry.labels);
  builder.set("__name__", columns_[column].name);
  if (!columns_[column].le.empty()) builder.set("le", columns_[column].le);
  return builder.build();
}

}  // namespace tarsier::tracing
