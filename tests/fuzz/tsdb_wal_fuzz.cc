#include <string>
#include <vector>

#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tsdb/wal/histogram_record.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/repair.h"

// The input is a segment of a log, and a record: read it, decode whatever comes out, repair the
// log, and find the same records in it again without damage.

namespace tarsier {
namespace {

/// Decodes the record by its type; what decodes must survive encoding and decoding again.
void decode(Bytes record) {
  using namespace tsdb;
  std::vector<RefSeries> series;
  std::vector<RefSample> samples;
  std::vector<RefTombstone> tombstones;
  std::vector<RefExemplar> exemplars;
  std::vector<RefMetadata> metadata;
  std::string again;
  switch (record_type(record)) {
    case RecordType::kSeries: {
      if (!decode_series(record, series).ok()) return;
      encode_series(series, again);
      std::vector<RefSeries> second;
      CHECK(decode_series(as_bytes(again), second).ok() && second == series);
      return;
    }
    case RecordType::kSamples:
    case RecordType::kSamplesV2: {
      if (!decode_samples(record, samples).ok()) return;
      encode_samples(samples, again);
      std::vector<RefSample> second;
      CHECK(decode_samples(as_bytes(again), second).ok() && second.size() == samples.size());
      return;
    }
    case RecordType::kTombstones: static_cast<void>(decode_tombstones(record, tombstones)); return;
    case RecordType::kExemplars: static_cast<void>(decode_exemplars(record, exemplars)); return;
    case RecordType::kMetadata: static_cast<void>(decode_metadata(record, metadata)); return;
    default: break;
  }
  static_cast<void>(newest_histogram_time(record));
  std::vector<RefHistogram> histograms;
  if (!is_histogram_record(record_type(record))) return;
  if (!decode_histograms(record, histograms).ok() || histograms.empty()) return;
  std::vector<RefHistogram> second;
  encode_histograms(histograms, record_type_of(histograms[0].histogram), again);
  CHECK(decode_histograms(as_bytes(again), second).ok());
  CHECK(is_same(second.at(0).histogram, histograms[0].histogram));
}

std::vector<std::string> read_all(FileSystem& files, std::optional<tsdb::LogDamage>& damage) {
  const auto reader = tsdb::LogReader::open(files, "wal", {.record_bytes_max = 1 << 20}).value();
  std::vector<std::string> records;
  while (reader->next()) records.emplace_back(as_text(reader->record()));
  damage = reader->damage();
  return records;
}

}  // namespace

void fuzz_one(Bytes input) {
  decode(input);
  testing::FaultyFileSystem files;
  testing::put_file(files, "wal/00000000", as_text(input));
  std::optional<tsdb::LogDamage> damage;
  const std::vector<std::string> records = read_all(files, damage);
  for (const std::string& record : records) decode(as_bytes(record));
  if (!damage) return;
  NullLogger quiet;
  CHECK(tsdb::repair_log(files, *damage, "lost", quiet).ok());
  CHECK(read_all(files, damage) == records);
  CHECK(!damage.has_value());
}

}  // namespace tarsier
