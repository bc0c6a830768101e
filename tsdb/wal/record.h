#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {

// The contents of log records (FORMAT.md, "Log records"). Encoders append one record to `out`;
// decoders replace what is in `out` (keeping its capacity) and give kCorruption, naming the offset,
// for bytes that are not the record; `out` then holds what came before. No length in a record is
// believed.

/// The first byte of a record. Stored: never renumber.
enum class RecordType : std::uint8_t {
  kUnknown = 0,  ///< What record_type() says of an empty record.
  kSeries = 1,
  kSamples = 2,
  kTombstones = 3,
  kExemplars = 4,
  kMmapMarkers = 5,
  kMetadata = 6,
  kHistograms = 7,
  kFloatHistograms = 8,
  kCustomHistograms = 9,
  kCustomFloatHistograms = 10,
  kSamplesV2 = 11,
  kHistogramsV2 = 12,
  kFloatHistogramsV2 = 13,
};

/// The first byte, whatever it is: other values than the names above come from newer writers.
RecordType record_type(Bytes record);
/// Whether there is a decoder here. Replay counts the others as skipped.
bool is_decoded(RecordType type);

struct RefSeries {
  SeriesRef ref;
  Labels labels;
  bool operator==(const RefSeries&) const = default;
};
struct RefSample {
  SeriesRef ref;
  Timestamp t;
  double v = 0;
};
/// Samples of a series from `min` to `max`, both included, are deleted. Over all time: the series
/// left the head.
struct RefTombstone {
  SeriesRef ref;
  Timestamp min;
  Timestamp max;
  bool operator==(const RefTombstone&) const = default;
};
struct RefExemplar {
  SeriesRef ref;
  Timestamp t;
  double v = 0;
  Labels labels;
};
struct RefMetadata {
  SeriesRef ref;
  Metadata metadata;
  bool operator==(const RefMetadata&) const = default;
};

void encode_series(std::span<const RefSeries> series, std::string& out);
void encode_samples(std::span<const RefSample> samples, std::string& out);
void encode_tombstones(std::span<const RefTombstone> tombstones, std::string& out);
void encode_exemplars(std::span<const RefExemplar> exemplars, std::string& out);
void encode_metadata(std::span<const RefMetadata> metadata, std::string& out);

/// Label sets come back in canonical form, whatever order they were stored in.
Status decode_series(Bytes record, std::vector<RefSeries>& out);
/// Also type 11; its start timestamps are read over.
Status decode_samples(Bytes record, std::vector<RefSample>& out);
Status decode_tombstones(Bytes record, std::vector<RefTombstone>& out);
Status decode_exemplars(Bytes record, std::vector<RefExemplar>& out);
Status decode_metadata(Bytes record, std::vector<RefMetadata>& out);

/// The newest time in a record of histograms (types 7 to 10, 12, 13): what a checkpoint decides by,
/// since it keeps such records as they are. No value for a record without entries.
Result<std::optional<Timestamp>> newest_histogram_time(Bytes record);

}  // namespace tarsier::tsdb
