#include "tsdb/wal/record.h"

#include <cmath>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/log_tools.h"
#include "tsdb/sample.h"
#include "tsdb/wal/histogram_record.h"

namespace tarsier::tsdb {
namespace {

using testing::from_hex;

const char* const kSeriesHex = "01 0000000000000007 02 08 5f5f6e616d655f5f 02 7570 03 6a6f62 01 61";
const char* const kSamplesHex =
    "02 0000000000000007 0000018bcfe56800 00 00 3ff8000000000000 03 14 c000000000000000";

TEST(WalRecord, EncodesSeriesAsPrometheusDoes) {
  const std::vector<RefSeries> series = {{SeriesRef{7}, {{"__name__", "up"}, {"job", "a"}}}};
  std::string record;
  encode_series(series, record);
  EXPECT_EQ(record, from_hex(kSeriesHex));
  std::vector<RefSeries> decoded;
  ASSERT_TRUE(decode_series(as_bytes(record), decoded).ok());
  EXPECT_EQ(decoded, series);
}

TEST(WalRecord, EncodesSamplesAsPrometheusDoes) {
  const std::vector<RefSample> samples = {{SeriesRef{7}, Timestamp{1700000000000}, 1.5},
                                          {SeriesRef{5}, Timestamp{1700000000010}, -2.0}};
  std::string record;
  encode_samples(samples, record);
  EXPECT_EQ(record, from_hex(kSamplesHex));
}

TEST(WalRecord, ReturnsEverySampleBitForBit) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::vector<RefSample> samples(random() % 200);
    for (RefSample& sample : samples) {
      const unsigned ref_shift = static_cast<unsigned>(random() % 64);
      const unsigned t_shift = static_cast<unsigned>(random() % 64);
      sample.ref.value = random() >> ref_shift;
      sample.t.ms = static_cast<std::int64_t>(random() >> t_shift) * (random() % 2 == 0 ? 1 : -1);
      sample.v = random() % 3 == 0 ? stale_marker() : std::bit_cast<double>(random());
    }
    std::string record;
    encode_samples(samples, record);
    std::vector<RefSample> decoded;
    ASSERT_TRUE(decode_samples(as_bytes(record), decoded).ok());
    ASSERT_EQ(decoded.size(), samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      EXPECT_EQ(decoded[i].ref, samples[i].ref);
      EXPECT_EQ(decoded[i].t, samples[i].t);
      EXPECT_EQ(std::bit_cast<std::uint64_t>(decoded[i].v),
                std::bit_cast<std::uint64_t>(samples[i].v));
    }
  }
}

TEST(WalRecord, RoundTripsTombstonesExemplarsAndMetadata) {
  const std::vector<RefTombstone> tombstones = {{SeriesRef{3}, Timestamp{1000}, Timestamp{2000}},
                                                {SeriesRef{9}, kMinTimestamp, kMaxTimestamp}};
  std::string record;
  encode_tombstones(tombstones, record);
  std::vector<RefTombstone> decoded_tombstones;
  ASSERT_TRUE(decode_tombstones(as_bytes(record), decoded_tombstones).ok());
  EXPECT_EQ(decoded_tombstones, tombstones);

  const std::vector<RefExemplar> exemplars = {
      {SeriesRef{5}, Timestamp{-10}, 0.25, {{"trace_id", "abc"}}},
      {SeriesRef{2}, Timestamp{20}, -1, {}}};
  record.clear();
  encode_exemplars(exemplars, record);
  std::vector<RefExemplar> decoded_exemplars;
  ASSERT_TRUE(decode_exemplars(as_bytes(record), decoded_exemplars).ok());
  ASSERT_EQ(decoded_exemplars.size(), 2u);
  EXPECT_EQ(decoded_exemplars[0].labels, exemplars[0].labels);
  EXPECT_EQ(decoded_exemplars[1].ref, SeriesRef{2});
  EXPECT_EQ(decoded_exemplars[1].t, Timestamp{20});

  const std::vector<RefMetadata> metadata = {
      {SeriesRef{300}, {MetricType::kCounter, "seconds", "Time spent."}},
      {SeriesRef{1}, {MetricType::kGauge, "", ""}}};
  record.clear();
  encode_metadata(metadata, record);
  EXPECT_EQ(record.substr(0, 4), from_hex("06 ac02 01"));
  std::vector<RefMetadata> decoded_metadata;
  ASSERT_TRUE(decode_metadata(as_bytes(record), decoded_metadata).ok());
  EXPECT_EQ(decoded_metadata, metadata);
}

TEST(WalRecord, ReadsOverMetadataFieldsItDoesNotKnow) {
  std::string record = from_hex("06 05 02 03");
  for (const char* text : {"UNIT", "bytes", "COLOUR", "red", "HELP", "h"}) put_string(record, text);
  std::vector<RefMetadata> decoded;
  ASSERT_TRUE(decode_metadata(as_bytes(record), decoded).ok());
  EXPECT_EQ(decoded,
            (std::vector<RefMetadata>{{SeriesRef{5}, {MetricType::kGauge, "bytes", "h"}}}));
}

TEST(WalRecord, ReadsSamplesWithStartTimestamps) {
  std::string record = from_hex("0b");
  put_varint(record, 7);
  put_varint(record, 1000);
  put_varint(record, 500);
  put_f64(record, 1);
  const auto put_next = [&](std::int64_t ref, std::int64_t t, std::uint8_t marker, double v) {
    put_varint(record, ref);
    put_varint(record, t);
    put_u8(record, marker);
    if (marker == 2) put_varint(record, 5);
    put_f64(record, v);
  };
  put_next(-2, 10, 0, 2);
  put_next(4, 20, 1, 3);
  put_next(0, 30, 2, 4);
  std::vector<RefSample> decoded;
  ASSERT_TRUE(decode_samples(as_bytes(record), decoded).ok());
  ASSERT_EQ(decoded.size(), 4u);
  EXPECT_EQ(decoded[1].ref, SeriesRef{5});
  EXPECT_EQ(decoded[2].ref, SeriesRef{9});
  EXPECT_EQ(decoded[3].ref, SeriesRef{9});
  EXPECT_EQ(decoded[3].t, Timestamp{1030});
  EXPECT_EQ(decoded[3].v, 4);
}

TEST(WalRecord, SortsLabelsAForeignWriterDidNot) {
  std::string record = from_hex("01 0000000000000001 03");
  for (const char* text : {"b", "2", "a", "1", "c", ""}) put_string(record, text);
  std::vector<RefSeries> decoded;
  ASSERT_TRUE(decode_series(as_bytes(record), decoded).ok());
  EXPECT_EQ(decoded.at(0).labels, (Labels{{"a", "1"}, {"b", "2"}}));
}

/// Two integer histograms at `first` and `first + 5`, as in types 7 and 9.
std::string histogram_record(std::int64_t first, bool custom) {
  std::string record = custom ? from_hex("09") : from_hex("07");
  put_be64(record, 1);
  put_be64(record, static_cast<std::uint64_t>(first));
  for (const std::int64_t delta : {5, 0}) {
    put_varint(record, 0);
    put_varint(record, delta);
    put_u8(record, 2);
    put_varint(record, custom ? -53 : 1);
    put_f64(record, 0.001);
    put_uvarint(record, 3);
    put_uvarint(record, 300);
    put_f64(record, 1e9);
    put_uvarint(record, 1);  // Positive spans.
    put_varint(record, -4);
    put_uvarint(record, 2);
    put_uvarint(record, 0);  // Negative spans.
    put_uvarint(record, 2);
    put_varint(record, 200);
    put_varint(record, -100);
    put_uvarint(record, 0);
    if (custom) {
      put_uvarint(record, 1);
      put_f64(record, 0.5);
    }
  }
  return record;
}

TEST(WalRecord, FindsTheNewestTimeOfHistogramsWithoutKeepingThem) {
  EXPECT_EQ(newest_histogram_time(as_bytes(histogram_record(100, false))).value(), Timestamp{105});
  EXPECT_EQ(newest_histogram_time(as_bytes(histogram_record(100, true))).value(), Timestamp{105});
  EXPECT_EQ(newest_histogram_time(as_bytes(std::string("\x07"))).value(), std::nullopt);
  const std::string cut = histogram_record(100, true).substr(0, 60);
  EXPECT_EQ(newest_histogram_time(as_bytes(cut)).status().code(), Code::kCorruption);
}

TEST(WalRecord, ReportsEveryCutRecordAsCorruption) {
  for (const char* hex : {kSeriesHex, kSamplesHex}) {
    const std::string whole = from_hex(hex);
    for (std::size_t size = 2; size < whole.size(); ++size) {
      const std::string cut = whole.substr(0, size);
      std::vector<RefSeries> series;
      std::vector<RefSample> samples;
      const bool is_series = cut[0] == 1;
      const Status status =
          is_series ? decode_series(as_bytes(cut), series) : decode_samples(as_bytes(cut), samples);
      // Before and after the first of the two samples the record could have ended.
      if (!is_series && (size == 17 || size == 27)) {
        EXPECT_TRUE(status.ok());
      } else {
        EXPECT_EQ(status.code(), Code::kCorruption) << size;
      }
    }
  }
}

TEST(WalRecord, DoesNotBelieveHugeCounts) {
  std::string record = from_hex("01 0000000000000001");
  put_uvarint(record, std::uint64_t{1} << 62);
  std::vector<RefSeries> series;
  EXPECT_EQ(decode_series(as_bytes(record), series).code(), Code::kCorruption);
  record = from_hex("06 01 01");
  put_uvarint(record, std::uint64_t{1} << 62);
  std::vector<RefMetadata> metadata;
  EXPECT_EQ(decode_metadata(as_bytes(record), metadata).code(), Code::kCorruption);
}

TEST(WalRecord, KnowsWhichTypesItSkips) {
  for (int type = 0; type < 256; ++type) {
    const std::string record(1, static_cast<char>(type));
    const bool decoded =
        type == 1 || type == 2 || type == 3 || type == 4 || type == 6 || type == 11;
    EXPECT_EQ(is_decoded(record_type(as_bytes(record))), decoded) << type;
  }
  EXPECT_EQ(record_type({}), RecordType::kUnknown);
}

/// One histogram of type 7 and 9, put together by hand from the format's tables.
const char* const kHistogramsHex =
    "07 0000000000000007 0000018bcfe56800"
    "00 00 00 02 3f50624dd2f1a9fc 01 06 4025000000000000"  // Schema 1, 0.001, 1 in zero, 6, 10.5.
    "02 00 02 02 01 00 03 04 01 02 00";                    // Spans 0+2, 1+1; 2 -1 1; no negative.
const char* const kCustomHistogramsHex =
    "09 0000000000000007 0000018bcfe56800"
    "00 00 00 69 0000000000000000 00 02 3ff0000000000000"  // Schema -53.
    "01 00 01 00 01 04 00 01 3fe0000000000000";            // Span 0+1; 2; one bound, 0.5.

TEST(WalRecord, EncodesHistogramsAsPrometheusDoes) {
  IntegerHistogram h;
  h.layout.schema = 1;
  h.layout.zero_threshold = 0.001;
  h.layout.positive_spans = {{0, 2}, {1, 1}};
  h.positive_deltas = {2, -1, 1};
  h.zero_count = 1;
  h.count = 6;
  h.sum = 10.5;
  IntegerHistogram custom;
  custom.layout.schema = kCustomBucketsSchema;
  custom.layout.positive_spans = {{0, 1}};
  custom.layout.custom_bounds = {0.5};
  custom.positive_deltas = {2};
  custom.count = 2;
  custom.sum = 1;
  const Timestamp t{1700000000000};
  const std::vector<RefHistogram> histograms = {{SeriesRef{7}, t, h}, {SeriesRef{7}, t, custom}};
  for (const auto& [type, hex, expected] :
       {std::tuple{RecordType::kHistograms, kHistogramsHex, &h},
        std::tuple{RecordType::kCustomHistograms, kCustomHistogramsHex, &custom}}) {
    std::string record;
    encode_histograms(histograms, type, record);
    EXPECT_EQ(record, from_hex(hex));
    std::vector<RefHistogram> decoded;
    ASSERT_TRUE(decode_histograms(as_bytes(record), decoded).ok());
    ASSERT_EQ(decoded.size(), 1u);
    EXPECT_TRUE(is_same(decoded[0].histogram, *expected));
    EXPECT_EQ(decoded[0].t, t);
    EXPECT_EQ(decoded[0].ref, SeriesRef{7});
    for (std::size_t i = 1; i < record.size(); ++i) {
      (void)decode_histograms(as_bytes(record).first(i), decoded).ok();
    }
  }
}

TEST(WalRecord, ReadsFloatHistogramsWithStartTimes) {
  // Two entries: series 7 at 1000 (started at 500), series 9 at 1010 (the same start).
  const std::string front = "02 00 0000000000000000 0000000000000000 4000000000000000";
  const std::string back = "3ff0000000000000 01 00 01 00 01 4000000000000000 00";
  const std::string record =
      from_hex("0d 0e d00f e807 " + front + back + "04 14 01" + front + back);
  std::vector<RefHistogram> decoded;
  const Status status = decode_histograms(as_bytes(record), decoded);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(decoded.size(), 2u);
  EXPECT_EQ(decoded[0].ref, SeriesRef{7});
  EXPECT_EQ(decoded[0].t, Timestamp{1000});
  EXPECT_EQ(decoded[1].ref, SeriesRef{9});
  EXPECT_EQ(decoded[1].t, Timestamp{1010});
  const auto& h = std::get<FloatHistogram>(decoded[1].histogram);
  EXPECT_EQ(h.hint, CounterResetHint::kNotReset);
  EXPECT_EQ(h.count, 2);
  EXPECT_EQ(h.positive_counts, (std::vector<double>{2}));
}

}  // namespace
}  // namespace tarsier::tsdb
