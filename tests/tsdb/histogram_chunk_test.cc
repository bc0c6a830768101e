#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/format_page.h"
#include "tests/support/log_tools.h"
#include "tsdb/chunk/histogram_encoder.h"
#include "tsdb/chunk/histogram_iterator.h"
#include "tsdb/chunk/xor2_chunk.h"

namespace tarsier::tsdb {
namespace {

using testing::from_hex;

struct Point {
  Timestamp t;
  AnyHistogram histogram;
};
using Points = std::vector<Point>;

Points decode(ChunkEncoding encoding, Bytes chunk) {
  Points points;
  HistogramIterator it(encoding, chunk);
  while (it.next()) points.push_back({it.t(), it.histogram()});
  EXPECT_TRUE(it.status().ok()) << it.status().message();
  return points;
}

/// One chunk with everything; the header as `fit` says it for the first sample.
std::string encode(const Points& points) {
  HistogramEncoder encoder(points[0].histogram.index() == 0 ? ChunkEncoding::kHistogram
                                                            : ChunkEncoding::kFloatHistogram);
  encoder.begin(encoder.fit(points[0].histogram).header);
  for (const Point& point : points) {
    EXPECT_TRUE(encoder.sample_count() == 0 || encoder.fit(point.histogram).fits);
    encoder.append(point.t, point.histogram);
  }
  return std::string(as_text(encoder.bytes()));
}

// What Prometheus 2.42 wrote of the samples below, received by remote write.

constexpr std::int64_t kStart = 1795346684000;

IntegerHistogram integers(std::uint64_t count, std::uint64_t zero_count, double sum,
                          std::vector<BucketSpan> positive, std::vector<std::int64_t> deltas) {
  IntegerHistogram h;
  h.layout.schema = 1;
  h.layout.zero_threshold = 0.001;
  h.layout.positive_spans = std::move(positive);
  h.positive_deltas = std::move(deltas);
  h.count = count;
  h.zero_count = zero_count;
  h.sum = sum;
  return h;
}

FloatHistogram floats(double count, double sum, std::vector<BucketSpan> positive,
                      std::vector<double> counts) {
  FloatHistogram h;
  h.layout.schema = -1;
  h.layout.zero_threshold = 0.3;
  h.layout.positive_spans = std::move(positive);
  h.positive_counts = std::move(counts);
  h.count = count;
  h.zero_count = 1.5;
  h.sum = sum;
  return h;
}

Points base() {
  return {{Timestamp{kStart}, integers(6, 1, 10.5, {{0, 2}, {1, 1}}, {2, -1, 1})},
          {Timestamp{kStart + 15000}, integers(9, 1, 12.25, {{0, 2}, {1, 1}}, {3, -1, 1})},
          {Timestamp{kStart + 30001}, integers(11, 1, 12.25, {{0, 2}, {1, 1}}, {4, -1, 0})}};
}
Points float_base() {
  return {{Timestamp{kStart}, floats(6.5, 10.5, {{0, 2}, {1, 1}}, {2, 1, 2})},
          {Timestamp{kStart + 15000}, floats(9, 12.25, {{0, 2}, {1, 1}}, {3.25, 2.25, 2})},
          {Timestamp{kStart + 30000}, floats(9, 12.25, {{0, 2}, {1, 1}}, {3.25, 2.25, 2})}};
}
Points with(Points points, Point more) {
  points.push_back(std::move(more));
  return points;
}
Point stale(int seconds, bool is_float) {
  const Timestamp t{kStart + seconds * 1000};
  if (is_float) return {t, FloatHistogram{.sum = stale_marker()}};
  return {t, IntegerHistogram{.sum = stale_marker()}};
}
Points negative() {
  Points points;
  for (int i = 0; i < 2; ++i) {
    IntegerHistogram h =
        integers(7u + 3u * static_cast<unsigned>(i), 0, -3.5 - i, {{3, 1}}, {2 + i});
    h.layout.negative_spans = {{0, 2}};
    h.negative_deltas = {2 + i, 1};
    points.push_back({Timestamp{kStart + 60000 * i}, h});
  }
  return points;
}

struct Golden {
  const char* name;
  const char* hex;
  Points points;
};
std::vector<Golden> golden() {
  return {
      {"integers",
       "000300ff3f50624dd2f1a9fc8ca48c5fc0003440600b0c168a0128000000000004af1f83a989b60bb891b85c",
       base()},
      {"integers with new buckets",
       "000400ff3f50624dd2f1a9fc8ce369c627f0000d101802c305a2804a00000000000095ef2f83a989b60bb4578c6"
       "e"
       "05ed36b1b98da33a80",
       with(base(), {Timestamp{kStart + 45000},
                     integers(16, 1, 20, {{-2, 1}, {1, 3}, {0, 1}}, {1, 3, 0, -1, 0})})},
      {"integers that end",
       "000500ff3f50624dd2f1a9fc8ca48c5fc0003440600b0c168a0128000000000004af1f83a989b60bb891b85ec62"
       "f"
       "7fd880000000000310",
       with(with(base(), stale(45, false)), stale(60, false))},
      {"negative buckets",
       "000200ff3f50624dd2f1a9fc8c6338c9fc0003440600b0c1760060000000000004a51f8ea609b589f188",
       negative()},
      {"floats",
       "000300ff3fd3333333333333bca48c5fc0003440600b0c080340000000000007ff0000000000000804a00000000"
       "0"
       "00080000000000000007fe00000000000008000000000000001f07531a83ed82ef607709dffc8000",
       float_base()},
      {"floats with new buckets",
       "000400ff3fd3333333333333bca689fc0003440600b0c080340000000000007ff0000000000000804a000000000"
       "0"
       "0080000000000000007fe000000000000000000000000000008000000000000001f07531a83ed82ef607709dffc"
       "8"
       "00d81d6b1b93115ffeb060",
       with(float_base(),
            {Timestamp{kStart + 45000}, floats(12, 20, {{0, 3}, {0, 1}}, {3.25, 2.25, 1, 4})})},
  };
}

TEST(HistogramChunk, IsBitForBitWhatPrometheusWrites) {
  for (const Golden& one : golden()) {
    SCOPED_TRACE(one.name);
    const std::string chunk = from_hex(one.hex);
    const bool is_float = one.points[0].histogram.index() == 1;
    const Points points = decode(
        is_float ? ChunkEncoding::kFloatHistogram : ChunkEncoding::kHistogram, as_bytes(chunk));
    EXPECT_EQ(encode(points), chunk) << "again";
    EXPECT_EQ(encode(one.points), chunk) << "from its samples";
  }
}

TEST(HistogramChunk, IsOnTheFormatPage) {
  const std::string page = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";
  EXPECT_EQ(testing::format_example(page, "Histogram chunk"), encode(base()));
}

TEST(HistogramChunk, SaysWhetherAHistogramGoesOn) {
  HistogramEncoder encoder(ChunkEncoding::kHistogram);
  const auto fit = [&](const IntegerHistogram& h) { return encoder.fit(h); };
  const IntegerHistogram last = integers(11, 1, 12.25, {{0, 2}, {1, 1}}, {4, -1, 0});
  EXPECT_EQ(fit(last).header, ChunkResetHeader::kUnknown) << "nothing before";
  encoder.append(Timestamp{1}, last);
  const auto expect = [&](const char* what, const IntegerHistogram& h, bool fits,
                          ChunkResetHeader header) {
    EXPECT_EQ(fit(h).fits, fits) << what;
    EXPECT_EQ(fit(h).header, header) << what;
  };
  using enum ChunkResetHeader;
  expect("same", last, true, kNotReset);
  expect("new buckets", integers(12, 1, 1, {{-1, 5}}, {1, 3, -1, -3, 3}), true, kNotReset);
  expect("fewer observations", integers(10, 1, 1, {{0, 2}, {1, 1}}, {4, -1, -1}), false, kReset);
  expect("a bucket went down", integers(11, 1, 1, {{0, 2}, {1, 1}}, {5, -3, 1}), false, kReset);
  expect("a bucket is gone", integers(11, 1, 1, {{0, 2}}, {5, 0}), false, kReset);
  IntegerHistogram other = last;
  other.hint = CounterResetHint::kReset;
  expect("somebody says so", other, false, kReset);
  other.hint = CounterResetHint::kGauge;
  expect("a gauge", other, false, kGauge);
  other = last;
  other.layout.schema = 2;
  expect("other resolution", other, false, kUnknown);
  other = last;
  other.layout.zero_threshold = 0.01;
  expect("other zero bucket", other, false, kUnknown);
  other.sum = stale_marker();
  expect("the end", other, true, kNotReset);
  encoder.append(Timestamp{2}, other);
  expect("behind the end", last, false, kUnknown);
  expect("the end again", other, true, kNotReset);
}

TEST(HistogramChunk, OfCustomBucketsEndsWhenTheBoundsChange) {
  IntegerHistogram h = integers(6, 0, 1, {{0, 3}}, {1, 1, 1});
  h.layout.schema = kCustomBucketsSchema;
  h.layout.zero_threshold = 0;
  h.layout.custom_bounds = {0.005, 1, 33554.430};
  HistogramEncoder encoder(ChunkEncoding::kHistogram);
  encoder.append(Timestamp{1}, h);
  const Points points = decode(ChunkEncoding::kHistogram, encoder.bytes());
  ASSERT_EQ(points.size(), 1u);
  EXPECT_TRUE(is_same(points[0].histogram, h));
  h.layout.custom_bounds = {0.005, 1, 1.0 / 3};
  EXPECT_FALSE(encoder.fit(h).fits);
  EXPECT_EQ(encoder.fit(h).header, ChunkResetHeader::kReset);
}

TEST(HistogramChunk, FillsBucketsThatAreMissing) {
  HistogramEncoder encoder(ChunkEncoding::kHistogram);
  const IntegerHistogram wide = integers(3, 1, 1, {{0, 3}}, {1, -1, 1});
  const IntegerHistogram narrow = integers(5, 1, 1, {{0, 1}, {1, 2}}, {1, 0, 1});
  encoder.append(Timestamp{1}, wide);
  ASSERT_TRUE(encoder.fit(narrow).fits) << "what is gone was empty";
  encoder.append(Timestamp{2}, narrow);
  const Points points = decode(ChunkEncoding::kHistogram, encoder.bytes());
  EXPECT_TRUE(is_same(points[0].histogram, integers(3, 1, 1, {{0, 4}}, {1, -1, 1, -1})));
  EXPECT_TRUE(is_same(points[1].histogram, integers(5, 1, 1, {{0, 4}}, {1, -1, 1, 1})));
}

/// Anything valid, in steps that fit or not.
class RandomHistograms final {
 public:
  explicit RandomHistograms(unsigned seed) : random_(seed) {}

  AnyHistogram next() {
    if (random_() % 12 == 0) layout_ = random_layout();
    if (random_() % 20 == 0) {
      return random_() % 2 == 0 ? AnyHistogram(IntegerHistogram{.sum = stale_marker()})
                                : AnyHistogram(FloatHistogram{.sum = stale_marker()});
    }
    const auto hint = random_() % 8 == 0 ? CounterResetHint::kGauge : CounterResetHint::kUnknown;
    total_ += random_() % 5;
    if (random_() % 2 == 0) {
      IntegerHistogram h;
      h.layout = layout_;
      h.hint = hint;
      h.count = h.zero_count = layout_.is_custom() ? 0 : total_;
      h.sum = static_cast<double>(random_() % 100) / 8;
      for (auto* side : {&h.positive_deltas, &h.negative_deltas}) {
        const auto& spans =
            side == &h.positive_deltas ? layout_.positive_spans : layout_.negative_spans;
        std::int64_t last = 0;
        for (std::size_t i = 0; i < bucket_count(spans); ++i) {
          const auto count = static_cast<std::int64_t>(total_ + random_() % 3 * (random_() % 90));
          h.count += static_cast<std::uint64_t>(count);
          side->push_back(count - last);
          last = count;
        }
      }
      return h;
    }
    FloatHistogram h;
    h.layout = layout_;
    h.hint = hint;
    h.count = static_cast<double>(total_) * 1.5;
    h.zero_count = layout_.is_custom() ? 0 : 0.25;
    h.sum = random_() % 9 == 0 ? std::numeric_limits<double>::infinity() : 3.5;
    for (std::size_t i = 0; i < bucket_count(layout_.positive_spans); ++i) {
      h.positive_counts.push_back(static_cast<double>(random_() % 7) / 3);
    }
    for (std::size_t i = 0; i < bucket_count(layout_.negative_spans); ++i) {
      h.negative_counts.push_back(static_cast<double>(random_() % 7));
    }
    return h;
  }

 private:
  std::vector<BucketSpan> random_spans(bool is_first_signed) {
    std::vector<BucketSpan> spans(random_() % 4);
    for (std::size_t i = 0; i < spans.size(); ++i) {
      spans[i].offset = static_cast<std::int32_t>(random_() % 10);
      if (i == 0 && is_first_signed) spans[i].offset -= 5;
      spans[i].length = static_cast<std::uint32_t>(random_() % 5);
    }
    return spans;
  }
  BucketLayout random_layout() {
    BucketLayout layout;
    if (random_() % 4 == 0) {
      layout.schema = kCustomBucketsSchema;
      layout.positive_spans = random_spans(false);
      for (int i = 0; i < 60; ++i) layout.custom_bounds.push_back(i * 0.37 - 1);
      return layout;
    }
    layout.schema = static_cast<std::int32_t>(random_() % 13) - 4;
    const double thresholds[] = {0, 0.001, 0.25, 1e-128};
    layout.zero_threshold = thresholds[random_() % 4];
    layout.positive_spans = random_spans(true);
    layout.negative_spans = random_spans(true);
    return layout;
  }

  std::mt19937_64 random_;
  BucketLayout layout_ = random_layout();
  std::uint64_t total_ = 1;
};

/// The same buckets, when those that are empty do not count.
bool is_equal(const FloatHistogram& a, const FloatHistogram& b) {
  const auto side = [](const std::vector<BucketSpan>& a_spans, const std::vector<double>& a_counts,
                       const std::vector<BucketSpan>& b_spans,
                       const std::vector<double>& b_counts) {
    const auto united = unite_spans(a_spans, b_spans);
    return spread_counts(a_spans, std::span<const double>(a_counts), united) ==
           spread_counts(b_spans, std::span<const double>(b_counts), united);
  };
  if (a.is_stale() || b.is_stale()) return a.is_stale() && b.is_stale();
  return a.layout.schema == b.layout.schema && a.layout.zero_threshold == b.layout.zero_threshold &&
         a.layout.custom_bounds == b.layout.custom_bounds && a.count == b.count &&
         a.zero_count == b.zero_count && a.sum == b.sum &&
         side(a.layout.positive_spans, a.positive_counts, b.layout.positive_spans,
              b.positive_counts) &&
         side(a.layout.negative_spans, a.negative_counts, b.layout.negative_spans,
              b.negative_counts);
}
FloatHistogram as_floats(const AnyHistogram& any) {
  const auto* integers = std::get_if<IntegerHistogram>(&any);
  return integers != nullptr ? to_float(*integers) : std::get<FloatHistogram>(any);
}

TEST(HistogramChunk, GivesBackWhatWasAppendedInBothWays) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomHistograms random(seed);
    for (const ChunkEncoding encoding :
         {ChunkEncoding::kHistogram, ChunkEncoding::kFloatHistogram}) {
      HistogramEncoder encoder(encoding);
      Points appended;
      std::int64_t t = -1000;
      while (appended.size() < 60) {
        AnyHistogram histogram = random.next();
        if (!encoder.takes(histogram)) continue;
        const auto fit = encoder.fit(histogram);
        if (!fit.fits || encoder.sample_count() == 0) {
          appended.clear();
          encoder.begin(fit.header);
          if (t > 100'000) break;
        }
        t += 1 + static_cast<std::int64_t>(seed) * 997;
        encoder.append(Timestamp{t}, histogram);
        appended.push_back({Timestamp{t}, histogram});
        const Points points = decode(encoding, encoder.bytes());
        HistogramColumns columns;
        ASSERT_TRUE(decode_histogram_chunk(encoding, encoder.bytes(), {}, columns).ok());
        ASSERT_EQ(points.size(), appended.size());
        ASSERT_EQ(columns.size(), appended.size());
        for (std::size_t i = 0; i < points.size(); ++i) {
          EXPECT_EQ(points[i].t, appended[i].t);
          EXPECT_EQ(columns.times_ms[i], appended[i].t.ms);
          EXPECT_TRUE(is_equal(as_floats(points[i].histogram), as_floats(appended[i].histogram)));
          EXPECT_TRUE(is_equal(columns.at(i), as_floats(points[i].histogram)));
        }
      }
    }
  }
}

TEST(HistogramChunk, DamageIsReportedNotFollowed) {
  for (const Golden& one : golden()) {
    const std::string good = from_hex(one.hex);
    for (const ChunkEncoding encoding :
         {ChunkEncoding::kHistogram, ChunkEncoding::kFloatHistogram,
          ChunkEncoding::kHistogramWithStarts, ChunkEncoding::kFloatHistogramWithStarts}) {
      for (std::size_t i = 0; i < good.size(); ++i) {
        HistogramColumns columns;
        (void)decode_histogram_chunk(encoding, as_bytes(good).first(i), {}, columns).ok();
        std::string bad = good;
        bad[i] = static_cast<char>(~bad[i]);
        columns.clear();
        (void)decode_histogram_chunk(encoding, as_bytes(bad), {}, columns).ok();
      }
    }
  }
  const std::string cut = from_hex(golden()[0].hex).substr(0, 20);
  HistogramColumns columns;
  const Status status =
      decode_histogram_chunk(ChunkEncoding::kHistogram, as_bytes(cut), {}, columns);
  EXPECT_EQ(status.code(), Code::kCorruption);
}

TEST(HistogramChunk, ShowsHintsAsQueriesSeeThem) {
  HistogramColumns columns;
  const std::string counter = from_hex(golden()[0].hex);
  ASSERT_TRUE(
      decode_histogram_chunk(ChunkEncoding::kHistogram, as_bytes(counter), {}, columns).ok());
  using enum CounterResetHint;
  EXPECT_EQ(columns.hints, (std::vector{kUnknown, kNotReset, kNotReset}));
  EXPECT_EQ(columns.layouts.size(), 1u);
  std::string gauge = counter;
  gauge[2] = '\xc0';
  columns.clear();
  ASSERT_TRUE(decode_histogram_chunk(ChunkEncoding::kHistogram, as_bytes(gauge), {}, columns).ok());
  EXPECT_EQ(columns.hints, (std::vector{kGauge, kGauge, kGauge}));
}

/// A float chunk of encoding 4, put together by hand from the format's tables.
TEST(Xor2Chunk, IsReadWithItsStartTimes) {
  std::string chunk("\0\6\x82", 3);  // Six samples, a start in front, changed at the third.
  std::size_t bits = 24;
  BitWriter out(chunk, bits);
  out.put(0x90, 8), out.put(0x4e, 8);  // 5000, as a varint of two bytes.
  out.put(std::bit_cast<std::uint64_t>(1.0), 64);
  out.put(0xd0, 8), out.put(0x0f, 8);                       // Started 1000 before.
  out.put(0x98, 8), out.put(0x75, 8);                       // 15 s later,
  out.put(0b0, 1);                                          // the same value.
  out.put(0b10, 2), out.put(0b1, 1);                        // On time; a new window:
  out.put(1, 5), out.put(1, 6), out.put(1, 1);              // 1.0 and 2^-1023 differ in bit 62.
  out.put_varbit_int(3);                                    // Its start.
  out.put(0b11111, 5), out.put_varbit_int(0);               // On time, the end.
  out.put(0b110, 3), out.put(0x1fff, 13), out.put(0b0, 1);  // 1 ms early, as before the end.
  out.put_varbit_int(0);
  out.put(0b1110, 4), out.put(4096, 20), out.put(0b10, 2), out.put(1, 1);  // Late; back to 1.0.
  out.put_varbit_int(0);
  SampleColumns columns;
  const Status status = decode_xor2_chunk(as_bytes(chunk), {}, columns);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(columns.times_ms, (std::vector<std::int64_t>{5000, 20000, 35000, 50000, 64999, 84094}));
  const double flipped = std::bit_cast<double>(std::bit_cast<std::uint64_t>(1.0) ^ (1ull << 62));
  EXPECT_EQ(columns.values[0], 1.0);
  EXPECT_EQ(columns.values[1], 1.0);
  EXPECT_EQ(columns.values[2], flipped);
  EXPECT_TRUE(is_stale_marker(columns.values[3]));
  EXPECT_EQ(columns.values[4], flipped);
  EXPECT_EQ(columns.values[5], 1.0);
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    columns.clear();
    EXPECT_FALSE(decode_xor2_chunk(as_bytes(chunk).first(i), {}, columns).ok()) << i;
  }
}

}  // namespace
}  // namespace tarsier::tsdb
