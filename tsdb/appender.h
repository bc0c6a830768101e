#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tsdb/exemplar.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::tsdb {

/// The head's number of a series: 1 and up, never used twice in one data directory, valid until
/// the head drops the series (appending then gives kUnknownSeries and the caller resolves the
/// labels again).
struct SeriesRef {
  std::uint64_t value = 0;
  auto operator<=>(const SeriesRef&) const = default;
};

/// A place in the write-ahead log, growing with every commit. Zero: nothing to wait for.
struct LogPosition {
  std::uint64_t value = 0;
  auto operator<=>(const LogPosition&) const = default;
};

/// What became of one sample, histogram or exemplar.
enum class AppendOutcome : unsigned char {
  kAppended,
  kIgnored,        ///< Same time and same bits as the newest sample: already there.
  kDuplicate,      ///< Same time as the newest sample, other value.
  kOutOfOrder,     ///< Older than the series' newest sample, and there is no out-of-order window.
  kOutOfBounds,    ///< Older than the head accepts, and there is no out-of-order window.
  kTooOld,         ///< Would go in out of order, but is older than the window.
  kUnknownSeries,  ///< The reference is not, or no longer, in the head.
  kInvalid,        ///< A histogram or exemplar that is none: validate_for_storage() says why.
};

/// The text clients of Prometheus know ("out of order sample", ...).
std::string_view append_outcome_text(AppendOutcome outcome);
/// The same for exemplars ("out of order exemplar", ...).
std::string_view exemplar_outcome_text(AppendOutcome outcome);

enum class MetricType : unsigned char {  // Stored in the WAL: never renumber.
  kUnknown = 0,
  kCounter = 1,
  kGauge = 2,
  kHistogram = 3,
  kGaugeHistogram = 4,
  kSummary = 5,
  kInfo = 6,
  kStateset = 7,
};
/// "counter", "gauge", ... as the API and OpenMetrics spell it.
std::string_view metric_type_name(MetricType type);

struct Metadata {
  MetricType type = MetricType::kUnknown;
  std::string unit;
  std::string help;
  bool operator==(const Metadata&) const = default;
};

/// A sample that was queued and is not stored: another appender wrote to the series first.
struct LateRefusal {
  SeriesRef series;
  Sample sample;  ///< Of a histogram its time and sum.
  AppendOutcome outcome =
      AppendOutcome::kOutOfOrder;  ///< A refusal: neither kAppended nor kIgnored.
};

/// One batch on its way into the head: a scrape, a remote-write request, a rule's output. Made by
/// `Db::appender()`, used by one thread, ended by commit() or rollback() (destroying it rolls
/// back). Series may be created before the commit; samples are seen by nobody until it, and then by
/// everybody at once. Outcomes are decided against the newest sample of the series *including* this
/// batch.
class Appender {
 public:
  virtual ~Appender() = default;

  /// The number of the series with these labels, creating it if the head has none. kInvalid for an
  /// empty set, a name twice or invalid UTF-8; kLimit when the head may not grow; kUnavailable when
  /// the log failed.
  virtual Result<SeriesRef> resolve(const Labels& labels) = 0;
  /// Queues one sample.
  virtual AppendOutcome append(SeriesRef series, Sample sample) = 0;
  /// Queues many: `outcomes[i]` is for `series[i]`, `samples[i]`. Faster than one by one: record
  /// look-ups are prefetched. REQUIRES: three equal sizes.
  virtual void append_batch(std::span<const SeriesRef> series, std::span<const Sample> samples,
                            std::span<AppendOutcome> outcomes) = 0;
  /// Queues one native histogram; rules and outcomes are those of float samples, of which the
  /// series may have others. Resolutions beyond kExponentialSchemaMax are reduced to it. An
  /// appender that stores floats only, like the default, says kInvalid.
  virtual AppendOutcome append_histogram(SeriesRef /*series*/, Timestamp /*t*/,
                                         IntegerHistogram /*histogram*/) {
    return AppendOutcome::kInvalid;
  }
  virtual AppendOutcome append_float_histogram(SeriesRef /*series*/, Timestamp /*t*/,
                                               FloatHistogram /*histogram*/) {
    return AppendOutcome::kInvalid;
  }
  /// Queues one exemplar. kIgnored: it is the series' newest already, or exemplars are not stored.
  /// kOutOfOrder: older than the newest; at the same time, a smaller value or smaller labels.
  /// Exemplars are never a reason to refuse a batch.
  virtual AppendOutcome append_exemplar(SeriesRef /*series*/, const Exemplar& /*exemplar*/) {
    return AppendOutcome::kIgnored;
  }
  virtual void set_metadata(SeriesRef series, const Metadata& metadata) = 0;
  /// The labels of a series, for messages; empty if unknown.
  virtual Labels labels_of(SeriesRef series) const = 0;

  /// Publishes the batch: one log record batch, then the head. Does not wait for the disk: the
  /// samples are durable once `Db::when_synced(position)` says so. After an error nothing of the
  /// batch is visible.
  virtual Result<LogPosition> commit() = 0;
  /// What of the batch last committed was refused although it had been queued, in the order of
  /// queueing: only if somebody else appended to the same series meanwhile. Lives until the next
  /// commit or rollback.
  virtual std::span<const LateRefusal> refused_at_commit() const { return {}; }
  virtual void rollback() = 0;
  /// From here on what does not go in order is refused, whatever the out-of-order window: for what
  /// computes its samples, like rules.
  virtual void refuse_out_of_order() {}
};

}  // namespace tarsier::tsdb
