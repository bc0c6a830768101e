#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "tracing/generated_series.h"
#include "tracing/span_door.h"
#include "tracing/trace_pins.h"

namespace tarsier::tracing {

/// What the metrics computed from spans are called.
enum class SpanMetricNames : unsigned char {
  kTempo,      ///< traces_spanmetrics_calls_total, _latency, _size_total; service.
  kConnector,  ///< traces_span_metrics_calls_total, _duration_milliseconds; service_name.
};

/// The section `traces.span_metrics`. Names as Tempo's generator has them where it has them.
struct SpanMetricsOptions {
  // What changes behaviour.

  bool enabled = true;
  SpanMetricNames names = SpanMetricNames::kTempo;
  /// Of the connector's names; its dots become underscores. Empty: `calls_total`.
  std::string metric_namespace = "traces.span.metrics";
  bool in_seconds = false;  ///< The connector's unit; Tempo's is seconds always.
  /// Attributes of the resource, else of the span, that become labels.
  std::vector<std::string> dimensions;
  bool has_service = true;
  bool has_span_name = true;
  bool has_span_kind = true;
  bool has_status_code = true;
  bool has_status_message = false;
  bool has_classic_histograms = true;
  /// Beside the classic one: Grafana asks for both.
  bool has_native_histograms = true;
  /// Upper bounds in the family's unit; empty: the family's own.
  std::vector<double> histogram_buckets;
  /// A numeric attribute that says for how many a span stands; empty: only `th` of its trace state
  /// does.
  std::string span_multiplier_key;
  Duration interval = seconds(15);
  Duration stale_after = minutes(15);
  bool has_exemplars = true;
  std::string exemplar_label = "trace_id";

  // What bounds cost.

  /// Beyond it a service's further names are counted under `__other__`.
  std::size_t span_names_per_service_max = 500;
  /// Series of this family; beyond it everything new is counted under `__other__`.
  std::size_t active_series_max = 100'000;
  /// A series shows a new exemplar this often at most: each keeps a trace.
  Duration exemplar_interval = minutes(1);
  /// Traces kept for exemplars, all series together.
  std::size_t exemplars_per_second_max = 20;

  bool operator==(const SpanMetricsOptions&) const = default;
};

/// Calls, durations and sizes of every accepted span, counted before anything is sampled. Each span
/// adds the exact weight its trace state gives it. Under every bound the sums over all series are
/// the true totals: what has no series of its own is counted under `__other__`. Any number of
/// threads observe; run_due() is for one.
class SpanMetrics final : public SpanObserver {
 public:
  struct Doors {
    std::function<std::unique_ptr<tsdb::Appender>()> make_appender;
    TracePins* pins = nullptr;  ///< Null: every trace is kept.
    HashKey hash_key;
    Logger* log = nullptr;
  };
  SpanMetrics(SpanMetricsOptions options, Doors doors, Timestamp now);
  ~SpanMetrics() override;

  void observe(const SpanBatch& batch, const SpanAdmission& admission, Timestamp now) override;
  /// Writes to storage once per interval; when next.
  Timestamp run_due(Timestamp now);
  /// Writes what there is: at the end.
  void write(Timestamp now);

  const SpanMetricsOptions& options() const { return options_; }
  void collect(MetricWriter& out) const;

 private:
  struct Counted;
  class Keys;
  struct Candidate {
    Hash128 key;
    RowExemplar exemplar;
  };

  void count(const Counted& span, const Hash128& key, Timestamp now,
             std::vector<Candidate>& candidates);
  bool apply(const Counted& span, const Hash128& key, Timestamp now,
             std::vector<Candidate>& candidates);
  void count_in_new_row(const Counted& span, const Hash128& key, Timestamp now,
                        std::vector<Candidate>& candidates);
  void show(std::vector<Candidate> candidates, Timestamp now);
  bool may_pin(Timestamp now);
  bool admit_name(std::string_view service, std::string_view name);
  void release_name(std::string_view service, std::string_view name);
  tsdb::Labels labels_of(const Counted& span) const;

  const SpanMetricsOptions options_;
  const Doors doors_;
  const KeyedHash hash_;
  std::vector<std::string> dimension_labels_;
  GeneratedSeries series_;
  Timestamp next_;

  Mutex names_mutex_;
  /// How many rows each name of a service has.
  std::unordered_map<std::string, std::unordered_map<std::string, std::size_t>> names_
      GUARDED_BY(names_mutex_);
  Mutex pins_mutex_;
  std::int64_t pin_second_ GUARDED_BY(pins_mutex_) = 0;
  std::size_t pins_this_second_ GUARDED_BY(pins_mutex_) = 0;

  Counter spans_;
  Counter spans_of_unknown_weight_;
  Counter spans_overflowed_;
  Counter exemplars_;
  Counter exemplars_unresolved_;
  Counter failures_;
};

/// A label's value: valid UTF-8, at most 1 KiB of it.
std::string span_label_value(std::string_view text);
/// The same as a view, of `text` where that is one already, else of a string added to `owned`.
std::string_view clean_label_value(std::string_view text, std::deque<std::string>& owned);
/// A label's name: what is outside [A-Za-z0-9_] becomes `_`.
std::string span_label_name(std::string_view attribute);
/// How many spans this one stands for: what `th` says, else 1.
double span_weight(const SpanRecord& span, bool* is_unknown = nullptr);

}  // namespace tarsier::tracing
