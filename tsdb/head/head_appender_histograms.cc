// How an appender of the head queues native histograms and exemplars.

#include <atomic>
#include <bit>
#include <utility>

#include "tsdb/head/head_appender.h"

namespace tarsier::tsdb {

const HeadAppender::QueuedHistogram* HeadAppender::queued_histogram(Slot slot,
                                                                    std::uint32_t mark) const {
  if ((mark & kHistogramInBatch) == 0) return nullptr;
  const std::size_t at = mark & ~kHistogramInBatch;
  const bool is_ours = at < batch_.histogram_slots.size() && batch_.histogram_slots[at] == slot;
  return is_ours ? &queued_[at] : nullptr;
}

/// What is of one series and run in the log must be in one record, or records keep the order only
/// if a new run begins.
void HeadAppender::begin_run_if(bool is_other_kind) {
  if (!is_other_kind) return;
  const HeadBatch::Barrier here{batch_.samples.size(), batch_.histograms.size()};
  if (batch_.barriers.empty() || !(batch_.barriers.back() == here)) {
    batch_.barriers.push_back(here);
  }
}

std::optional<AppendOutcome> HeadAppender::queue_stale(Slot slot, SeriesRef series, Timestamp t,
                                                       std::uint32_t mark) {
  std::optional<Head::HistogramKind> kind;
  if (const QueuedHistogram* queued = queued_histogram(slot, mark)) {
    kind = queued->kind;
  } else if (mark >= batch_.slots.size() || batch_.slots[mark] != slot) {
    kind = head_.newest_histogram_kind(slot);
  }
  if (!kind) return std::nullopt;
  const auto hint = kind->is_gauge ? CounterResetHint::kGauge : CounterResetHint::kUnknown;
  if (kind->is_float) {
    return queue(slot, series, t, FloatHistogram{.hint = hint, .sum = stale_marker()});
  }
  return queue(slot, series, t, IntegerHistogram{.hint = hint, .sum = stale_marker()});
}

AppendOutcome HeadAppender::queue(Slot slot, SeriesRef series, Timestamp t,
                                  AnyHistogram histogram) {
  if (slot == SeriesRefs::kNone) return AppendOutcome::kUnknownSeries;
  const bool is_valid =
      std::visit([](auto& one) { return prepare_for_storage(one).ok(); }, histogram);
  if (!is_valid) return AppendOutcome::kInvalid;
  SeriesRecord& record = head_.table().record(slot);
  const std::uint32_t mark = std::atomic_ref(record.batch_mark).load(std::memory_order_relaxed);
  const QueuedHistogram* const queued = queued_histogram(slot, mark);
  const bool is_behind_float = mark < batch_.slots.size() && batch_.slots[mark] == slot;
  std::int64_t newest_t = 0;
  std::uint64_t newest_bits = 0;
  if (queued != nullptr) {
    newest_t = queued->t.ms;
    newest_bits = queued->print;
  } else if (is_behind_float) {
    newest_t = batch_.samples[mark].t.ms;
  } else {
    newest_t = std::atomic_ref(record.chunk.t).load(std::memory_order_relaxed);
    newest_bits = std::atomic_ref(record.chunk.value_bits).load(std::memory_order_relaxed);
  }
  const std::uint64_t print = fingerprint(histogram);
  const auto [outcome, is_late] =
      judge({t, std::bit_cast<double>(print)},
            {Timestamp{newest_t}, std::bit_cast<double>(newest_bits)}, bound_, late_bound_);
  if (outcome != AppendOutcome::kAppended) {
    if (outcome == AppendOutcome::kIgnored) has_ignored_ = true;
    if (outcome == AppendOutcome::kOutOfOrder) head_.metrics().out_of_order.add();
    if (outcome == AppendOutcome::kOutOfBounds) head_.metrics().out_of_bounds.add();
    if (outcome == AppendOutcome::kTooOld) head_.metrics().histograms_too_old.add();
    return outcome;
  }
  const RecordType type = record_type_of(histogram);
  if (!is_late) {
    begin_run_if(queued != nullptr && queued->type != type);
    std::atomic_ref(record.batch_mark)
        .store(static_cast<std::uint32_t>(batch_.histogram_slots.size()) | kHistogramInBatch,
               std::memory_order_relaxed);
  }
  queued_.push_back(
      {t, print, type, {histogram.index() == 1, hint_of(histogram) == CounterResetHint::kGauge}});
  batch_.histogram_slots.push_back(slot);
  batch_.histograms.push_back({series, t, std::move(histogram)});
  return AppendOutcome::kAppended;
}

AppendOutcome HeadAppender::append_histogram(SeriesRef series, Timestamp t,
                                             IntegerHistogram histogram) {
  return queue(head_.table().find(series), series, t, std::move(histogram));
}

AppendOutcome HeadAppender::append_float_histogram(SeriesRef series, Timestamp t,
                                                   FloatHistogram histogram) {
  return queue(head_.table().find(series), series, t, std::move(histogram));
}

AppendOutcome HeadAppender::append_exemplar(SeriesRef series, const Exemplar& exemplar) {
  const Slot slot = head_.table().find(series);
  if (slot == SeriesRefs::kNone) return AppendOutcome::kUnknownSeries;
  const AppendOutcome outcome = head_.exemplars().judge(head_.table().labels(slot), exemplar);
  if (outcome != AppendOutcome::kAppended) return outcome;
  batch_.exemplars.push_back({series, exemplar.t, exemplar.value, exemplar.labels});
  batch_.exemplar_slots.push_back(slot);
  return outcome;
}

}  // namespace tarsier::tsdb
