#include "tsdb/wal_follower.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/follow/followed_series_table.h"
#include "tsdb/follow/follower_hub.h"
#include "tsdb/wal/histogram_record.h"
#include "tsdb/wal/log_reader.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment_reader.h"

namespace tarsier::tsdb {

bool FollowedBatch::empty() const {
  return series.empty() && samples.empty() && histograms.empty() && exemplars.empty() &&
         metadata.empty() && ended.empty();
}

void FollowedBatch::clear() {
  series.clear();
  samples.clear();
  histograms.clear();
  exemplars.clear();
  metadata.clear();
  ended.clear();
  end = {};
}

struct WalFollower::Decoded {
  std::vector<RefSeries> series;
  std::vector<RefSample> samples;
  std::vector<RefHistogram> histograms;
  std::vector<RefExemplar> exemplars;
  std::vector<RefMetadata> metadata;
};

WalFollower::WalFollower(FollowerHub& hub, FollowerOptions options, std::uint64_t id,
                         LogPosition begin)
    : hub_(hub),
      options_(std::move(options)),
      id_(id),
      decoded_(std::make_unique<Decoded>()),
      series_(std::make_unique<FollowedSeriesTable>()),
      looked_at_segment_(segment_of(begin)),
      position_(begin.value),
      released_(begin.value) {}

WalFollower::~WalFollower() { hub_.remove(id_); }

LogPosition WalFollower::log_end() const { return hub_.followed().followable(); }

Status WalFollower::store(LogPosition position) {
  CHECK(position <= this->position());
  TRY(hub_.store(options_.name, position));
  release(position);
  return {};
}

void WalFollower::release(LogPosition position) {
  hub_.release(id_, position);
  released_.store(position.value, std::memory_order_relaxed);
}

void WalFollower::move_to(LogPosition position) {
  position_.store(position.value, std::memory_order_relaxed);
}

bool WalFollower::selects(const Labels& labels) const {
  const auto& selectors = options_.selectors;
  return selectors.empty() ||
         std::any_of(selectors.begin(), selectors.end(), [&](const auto& matchers) {
           return std::all_of(matchers.begin(), matchers.end(), [&](const Matcher& matcher) {
             return matcher.matches(labels.get(matcher.name()));
           });
         });
}

void WalFollower::decide(SeriesRef ref, const Labels& labels, FollowedBatch& batch) {
  if (series_->state(ref) != FollowedSeriesTable::State::kUnknown) return;
  const bool is_followed = selects(labels);
  series_->set(ref, is_followed);
  if (is_followed) batch.series.push_back({ref, labels});
}

Status WalFollower::read(std::size_t samples_max, FollowedBatch& batch) {
  batch.clear();
  const LogPosition end = log_end();
  const LogPosition begin = position();
  Status outcome = read_on(end, samples_max, batch);
  if (!outcome.ok()) {
    reader_.reset();
    // What was read before the error is good, and the error will be back.
    if (position() == begin && batch.series.empty()) return outcome;
  }
  note_ended(batch);
  batch.end = position();
  return {};
}

Status WalFollower::read_on(LogPosition end, std::size_t samples_max, FollowedBatch& batch) {
  while (batch.sample_count() < samples_max && position() < end) {
    if (reader_ == nullptr && !TRY(open_segment(end))) continue;
    const std::uint32_t segment = segment_of(position());
    switch (reader_->next()) {
      case SegmentReader::Step::kRecord: {
        Status taken = take(reader_->record(), batch);
        if (taken.code() == Code::kCorruption) {
          damage_count_.fetch_add(1, std::memory_order_relaxed);
          hub_.log().error("A record of the log cannot be followed",
                           {{"segment", std::to_string(segment)},
                            {"offset", std::to_string(reader_->record_begin())},
                            {"error", taken.message()}});
        } else {
          TRY(std::move(taken));
        }
        move_to(log_position(segment, reader_->record_end()));
        break;
      }
      case SegmentReader::Step::kEnd:
        // Where the log ended when the reader was made, or where the segment does.
        reader_.reset();
        move_to(segment == segment_of(reader_end_) ? reader_end_ : log_position(segment + 1, 0));
        break;
      case SegmentReader::Step::kFailed: return reader_->status();
      case SegmentReader::Step::kTorn:
      case SegmentReader::Step::kDamaged:
        if (segment >= segment_of(end)) return corruption(reader_->damage_reason());
        skip_segment(reader_->damage_reason());
        break;
    }
  }
  return {};
}

void WalFollower::skip_segment(std::string_view why) {
  const std::uint32_t segment = segment_of(position());
  damage_count_.fetch_add(1, std::memory_order_relaxed);
  hub_.log().error("The rest of a segment of the log cannot be followed",
                   {{"segment", std::to_string(segment)}, {"error", std::string(why)}});
  reader_.reset();
  move_to(log_position(segment + 1, 0));
}

/// Opens the segment of the position, up to `end` if that is in it. False when the position moved
/// to another segment instead.
Result<bool> WalFollower::open_segment(LogPosition end) {
  const std::string& directory = hub_.followed().wal_directory;
  const std::uint32_t segment = segment_of(position());
  const std::string path = join_path(directory, segment_name(segment));
  auto file = hub_.files().open_readable(path, Access::kRead);
  if (!file.ok()) {
    if (hub_.files().exists(path)) return file.status();
    const std::vector<std::uint32_t> segments = TRY(list_segments(hub_.files(), directory));
    const auto next = std::upper_bound(segments.begin(), segments.end(), segment);
    if (next == segments.end()) return file.status();
    segments_lost_.fetch_add(*next - segment, std::memory_order_relaxed);
    hub_.log().warn("Segments of the log were gone before they were followed",
                    {{"follower", options_.name},
                     {"first", std::to_string(segment)},
                     {"count", std::to_string(*next - segment)}});
    is_scanned_ = false;  // Series were made in them.
    move_to(log_position(*next, 0));
    return false;
  }
  std::uint64_t size = (*file)->size();
  if (segment == segment_of(end)) {
    if (size < offset_of(end)) return unavailable(path + " is shorter than what was written");
    size = offset_of(end);
  }
  const std::uint64_t begin = offset_of(position());
  if (begin > size) {
    // What was there a power cut has taken, under WalSync::kNone.
    move_to(log_position(segment + 1, 0));
    return false;
  }
  reader_end_ = end;
  reader_ =
      TRY(SegmentReader::open_range(std::move(file).value(), {begin, size}, kLogRecordBytesMax));
  return true;
}

Status WalFollower::take(Bytes record, FollowedBatch& batch) {
  switch (record_type(record)) {
    case RecordType::kSeries: {
      TRY(decode_series(record, decoded_->series));
      for (const RefSeries& one : decoded_->series) decide(one.ref, one.labels, batch);
      return {};
    }
    case RecordType::kSamples:
    case RecordType::kSamplesV2: {
      TRY(decode_samples(record, decoded_->samples));
      return take_items(decoded_->samples, batch,
                        [&](RefSample& s) { batch.samples.push_back({s.ref, s.t, s.v}); });
    }
    case RecordType::kHistograms:
    case RecordType::kFloatHistograms:
    case RecordType::kCustomHistograms:
    case RecordType::kCustomFloatHistograms:
    case RecordType::kHistogramsV2:
    case RecordType::kFloatHistogramsV2: {
      TRY(decode_histograms(record, decoded_->histograms));
      return take_items(decoded_->histograms, batch, [&](RefHistogram& h) {
        batch.histograms.push_back({h.ref, h.t, std::move(h.histogram)});
      });
    }
    case RecordType::kExemplars: {
      TRY(decode_exemplars(record, decoded_->exemplars));
      return take_items(decoded_->exemplars, batch, [&](RefExemplar& e) {
        batch.exemplars.push_back({e.ref, {std::move(e.labels), e.v, e.t}});
      });
    }
    case RecordType::kMetadata: {
      TRY(decode_metadata(record, decoded_->metadata));
      return take_items(decoded_->metadata, batch, [&](RefMetadata& m) {
        batch.metadata.push_back({m.ref, std::move(m.metadata)});
      });
    }
    default: return {};
  }
}

/// Nothing is taken before all series are known, so that a record is taken whole or not at all.
template <typename Item, typename Add>
Status WalFollower::take_items(std::vector<Item>& items, FollowedBatch& batch, Add add) {
  std::vector<SeriesRef> unknown;
  for (const Item& item : items) {
    if (series_->state(item.ref) == FollowedSeriesTable::State::kUnknown) {
      unknown.push_back(item.ref);
    }
  }
  if (!unknown.empty()) TRY(meet(unknown, batch));
  for (Item& item : items) {
    if (series_->is_followed(item.ref)) add(item);
  }
  return {};
}

/// Decides about series whose records are before the position: from the head, which has nearly all
/// of them, else from the log.
Status WalFollower::meet(std::vector<SeriesRef>& unknown, FollowedBatch& batch) {
  std::size_t missing = 0;
  for (const SeriesRef ref : unknown) {
    if (series_->state(ref) != FollowedSeriesTable::State::kUnknown) continue;
    const Labels labels = hub_.followed().labels_of(ref);
    labels.empty() ? void(++missing) : decide(ref, labels, batch);
  }
  if (missing == 0) return {};
  if (!is_scanned_) {
    TRY(scan_for_series(batch));
    is_scanned_ = true;
  }
  for (const SeriesRef ref : unknown) {
    if (series_->state(ref) != FollowedSeriesTable::State::kUnknown) continue;
    series_->set(ref, false);
    unknown_samples_.fetch_add(1, std::memory_order_relaxed);
  }
  return {};
}

Status WalFollower::scan_for_series(FollowedBatch& batch) {
  const auto reader = TRY(
      LogReader::open_until(hub_.files(), hub_.followed().wal_directory, segment_of(position())));
  std::vector<RefSeries> series;
  while (reader->next()) {
    if (record_type(reader->record()) != RecordType::kSeries) continue;
    // A bad record costs its own series, not those behind it; nor is it the fault of the record
    // that made us look. `series` has what came before the bad byte.
    static_cast<void>(decode_series(reader->record(), series));
    for (const RefSeries& one : series) decide(one.ref, one.labels, batch);
  }
  // The end of the segment that is being written looks torn; what is before it was enough.
  if (reader->damage()) return {};
  return reader->status();
}

/// Each time the log has begun another segment: which series have left the head since.
void WalFollower::note_ended(FollowedBatch& batch) {
  if (ending_ && position() >= ending_->position) {
    for (const SeriesRef ref : ending_->refs) series_->set(ref, false);
    batch.ended = std::move(ending_->refs);
    ending_.reset();
  }
  const std::uint32_t segment = segment_of(log_end());
  if (ending_ || segment == looked_at_segment_) return;
  looked_at_segment_ = segment;
  Ended ended;
  for (const SeriesRef ref : series_->followed()) {
    if (hub_.followed().labels_of(ref).empty()) ended.refs.push_back(ref);
  }
  // Nothing is added to a series that is gone: all there is of it is in the log by now.
  ended.position = hub_.followed().appended();
  if (!ended.refs.empty()) ending_ = std::move(ended);
}

}  // namespace tarsier::tsdb
