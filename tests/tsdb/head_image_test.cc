#include "tsdb/head/head_image.h"

#include <bit>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tsdb/db.h"
#include "tsdb/head/head_image_keeper.h"
#include "tsdb/verification.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

constexpr char kImagePath[] = "data/tarsier/head_image/image";

/// By series and time: the value's bits, of a histogram those of its sum.
using Contents = std::map<std::string, std::map<std::int64_t, std::uint64_t>>;

Contents read_all(Db& db) {
  Contents out;
  const auto set = db.querier({}).value()->select({}, {}, nullptr).value();
  for (std::size_t i = 0; i < set->size(); ++i) {
    SampleColumns floats;
    HistogramColumns histograms;
    EXPECT_TRUE(set->read_mixed(i, {}, floats, histograms).ok());
    auto& samples = out[set->labels(i).to_string()];
    for (std::size_t k = 0; k < floats.size(); ++k) {
      samples[floats.times_ms[k]] = std::bit_cast<std::uint64_t>(floats.values[k]);
    }
    for (std::size_t k = 0; k < histograms.size(); ++k) {
      samples[histograms.times_ms[k]] = std::bit_cast<std::uint64_t>(histograms.sums[k]);
    }
  }
  return out;
}

class HeadImageTest : public ::testing::Test {
 protected:
  HeadImageTest() {
    options_.block_range = seconds(1000);
    options_.block_range_max = seconds(1000);
    options_.wal_segment_bytes = 32 << 10;
    options_.retention = Duration{0};
    options_.out_of_order_time_window = seconds(500);
  }
  void open() {
    auto db = Db::open(*disk_, "data", options_, *log_, nullptr);
    ASSERT_TRUE(db.ok()) << db.status().message();
    db_ = std::move(db).value();
    db_->interrupt_sync();
  }
  std::string text() const {
    std::string all;
    for (const std::string& line : log_->lines()) all += line + "\n";
    return all;
  }
  void sync() { db_->sync_due(); }
  /// Some scrapes of series that come, stay and go, of all kinds.
  void live(int scrapes) {
    for (int n = 0; n < scrapes; ++n) {
      now_ms_ += 900 + static_cast<std::int64_t>(random_() % 200);
      const auto appender = db_->appender();
      for (int i = 0; i < 12; ++i) {
        const std::string name = i < 9 ? "s" + std::to_string(i)
                                       : "g" + std::to_string(now_ms_ / 30'000) + std::to_string(i);
        const Labels labels = {{"__name__", name}, {"job", "j" + std::to_string(i % 3)}};
        const SeriesRef ref = appender->resolve(labels).value();
        if (random_() % 4 == 0) continue;
        std::int64_t t = now_ms_;
        if (random_() % 20 == 0) t -= 40'000;
        const double v = std::bit_cast<double>(random_() >> (random_() % 2 == 0 ? 0 : 20));
        if (i == 3 || (i == 4 && random_() % 40 == 0)) {
          IntegerHistogram h;
          h.sum = v;
          h.layout.positive_spans = {{static_cast<std::int32_t>(n / 50), 1}};
          h.positive_deltas = {n};
          h.count = static_cast<std::uint64_t>(n);
          static_cast<void>(appender->append_histogram(ref, Timestamp{t}, std::move(h)));
        } else {
          static_cast<void>(appender->append(ref, {Timestamp{t}, v}));
        }
        if (random_() % 50 == 0) {
          static_cast<void>(
              appender->append_exemplar(ref, {{{"trace_id", name}}, v, Timestamp{t}}));
        }
        if (random_() % 50 == 0) appender->set_metadata(ref, {MetricType::kGauge, "", name});
      }
      ASSERT_TRUE(appender->commit().ok());
    }
    sync();
  }
  void write_chunks() { db_->write_head_chunks_due(Timestamp{clock_ms_ += 600'000}); }
  /// Kills the process; the next start finds the image, and one without it finds the same.
  void expect_same_after_crash(bool from_image) {
    const Contents before = read_all(*db_);
    db_.reset();
    disk_ = disk_->after_process_crash();
    auto other = disk_->after_process_crash();
    ASSERT_TRUE(other->remove_all("data/tarsier/head_image").ok());
    log_.emplace();
    open();
    EXPECT_EQ(log_->contains("Head image loaded"), from_image) << text();
    EXPECT_EQ(read_all(*db_), before);
    NullLogger quiet;
    const auto plain = Db::open(*other, "data", options_, quiet, nullptr).value();
    EXPECT_EQ(read_all(*plain), before);
    const HeadStatistics one = db_->head_statistics(10);
    const HeadStatistics two = plain->head_statistics(10);
    EXPECT_EQ(one.min_time, two.min_time);
    EXPECT_EQ(one.max_time, two.max_time);
    EXPECT_EQ(db_->metadata().size(), plain->metadata().size());
    EXPECT_EQ(db_->exemplars({{}}, {}).size(), plain->exemplars({{}}, {}).size());
  }

  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  std::optional<testing::CapturingLogger> log_{std::in_place};
  Options options_;
  std::unique_ptr<Db> db_;
  std::mt19937_64 random_{7};
  std::int64_t now_ms_ = 1'000'000;
  std::int64_t clock_ms_ = 0;
};

TEST_F(HeadImageTest, AStartFromAnImageFindsWhatOneFromTheLogDoes) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_.seed(seed);
    disk_ = std::make_unique<FaultyFileSystem>();
    open();
    for (int life = 0; life < 4; ++life) {
      live(20 + static_cast<int>(random_() % 150));
      if (random_() % 2 == 0) {
        const TimeRange range{Timestamp{now_ms_ - 30'000}, Timestamp{now_ms_ - 5'000}};
        ASSERT_TRUE(db_->delete_series({Matcher::equal("__name__", "s1")}, range).ok());
      }
      sync();
      write_chunks();
      write_chunks();
      ASSERT_TRUE(disk_->exists(kImagePath));
      live(static_cast<int>(random_() % 120));
      if (random_() % 2 == 0) {
        const TimeRange range{Timestamp{now_ms_ - 20'000}, Timestamp{now_ms_}};
        ASSERT_TRUE(db_->delete_series({Matcher::equal("__name__", "s2")}, range).ok());
        sync();
      }
      expect_same_after_crash(true);
    }
    db_.reset();
  }
}

TEST_F(HeadImageTest, ChunksThatCameToFilesSinceAreTakenFromThere) {
  open();
  live(60);
  write_chunks();
  ASSERT_TRUE(disk_->exists(kImagePath));
  const std::string image = read_file(*disk_, kImagePath, 1 << 30).value();
  live(500);
  write_chunks();
  live(10);
  write_chunks();
  live(10);
  // The image of before, and files of after.
  auto out = disk_->open_writable(kImagePath, OpenMode::kTruncate).value();
  ASSERT_TRUE(out->append(as_bytes(image)).ok());
  out.reset();
  expect_same_after_crash(true);
  // Nothing was built, and brought to files, a second time.
  live(10);
  write_chunks();
  write_chunks();
  std::set<std::pair<std::uint64_t, std::int64_t>> seen;
  const auto listed = disk_->list("data/chunks_head").value();
  for (const DirectoryEntry& file : listed) {
    const std::string bytes = read_file(*disk_, "data/chunks_head/" + file.name, 1 << 30).value();
    for (std::size_t at = kHeadChunksHeaderBytes; at < bytes.size();) {
      const HeadChunkEntry entry = *read_head_chunk(as_bytes(bytes).subspan(at)).value();
      at += entry.size;
      if (entry.header.is_out_of_order) continue;
      EXPECT_TRUE(seen.emplace(entry.header.series_ref, entry.header.min_time.ms).second);
    }
  }
  EXPECT_GT(seen.size(), 20u);
}

TEST_F(HeadImageTest, ACleanStopLeavesAnImageAndNothingToReplay) {
  open();
  live(300);
  const Contents before = read_all(*db_);
  ASSERT_TRUE(db_->close().ok());
  db_.reset();
  log_.emplace();
  open();
  EXPECT_TRUE(log_->contains("Head image loaded"));
  EXPECT_TRUE(log_->contains("log_samples=0")) << text();
  EXPECT_EQ(read_all(*db_), before);
}

TEST_F(HeadImageTest, DamageCostsTheImageAndNothingElse) {
  open();
  live(100);
  ASSERT_TRUE(db_->close().ok());
  const Contents before = read_all(*db_);
  db_.reset();
  const std::string image = read_file(*disk_, kImagePath, 1 << 30).value();
  const auto whole = disk_->after_process_crash();
  for (int i = 0; i < 60; ++i) {
    disk_ = whole->after_process_crash();
    std::string damaged = image;
    const std::size_t at = random_() % image.size();
    if (i % 3 == 0) {
      damaged.resize(at);
    } else {
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << random_() % 8));
    }
    SCOPED_TRACE("byte " + std::to_string(at) + (i % 3 == 0 ? " cut" : " flipped"));
    const auto verify = [&] {
      std::vector<std::string> found;
      const auto note = [&](const Finding& finding) { found.push_back(finding.path); };
      EXPECT_TRUE(verify_database(*disk_, "data", note).ok());
      return found;
    };
    EXPECT_EQ(verify(), std::vector<std::string>());
    auto out = disk_->open_writable(kImagePath, OpenMode::kTruncate).value();
    ASSERT_TRUE(out->append(as_bytes(damaged)).ok());
    out.reset();
    const std::vector<std::string> findings = verify();
    log_.emplace();
    open();
    // Three bytes of the header mean nothing.
    if (i % 3 == 0 || at < 5 || at > 7) {
      EXPECT_TRUE(log_->contains("Head image discarded")) << text();
      EXPECT_TRUE(log_->contains("head_image/image"));
      EXPECT_EQ(findings, std::vector<std::string>{kImagePath});
    }
    EXPECT_EQ(read_all(*db_), before);
    db_.reset();
  }
}

TEST_F(HeadImageTest, AnImageOfAnotherLogIsNone) {
  options_.wal_compression = WalCompression::kNone;
  open();
  live(1000);
  ASSERT_TRUE(db_->close().ok());
  db_.reset();
  const auto whole = disk_->after_process_crash();
  const auto expect_discarded = [&](std::string_view why) {
    log_.emplace();
    open();
    EXPECT_TRUE(log_->contains("Head image discarded")) << text();
    EXPECT_TRUE(log_->contains(why)) << text();
    db_.reset();
    disk_ = whole->after_process_crash();
  };
  const auto segments = list_segments(*disk_, "data/wal").value();
  ASSERT_GT(segments.size(), 2u);
  const std::string first = "data/wal/" + segment_name(segments.front());
  const std::string second = "data/wal/" + segment_name(segments[1]);
  // Somebody wrote more to a finished segment, or removed one, or exchanged the end of one.
  auto out = disk_->open_writable(second, OpenMode::kAppend).value();
  ASSERT_TRUE(out->append(as_bytes(std::string(100, '\0'))).ok());
  out.reset();
  expect_discarded("segments of the log are not what they were");
  ASSERT_TRUE(disk_->remove_file(first).ok());
  expect_discarded("segments of the log are not what they were");
  std::string contents = read_file(*disk_, first, 1 << 30).value();
  contents[contents.size() - 2000] = static_cast<char>(contents[contents.size() - 2000] ^ 1);
  out = disk_->open_writable(first, OpenMode::kTruncate).value();
  ASSERT_TRUE(out->append(as_bytes(contents)).ok());
  out.reset();
  expect_discarded("segments of the log are not what they were");
  // A head chunk file is gone.
  const auto chunks = disk_->list("data/chunks_head").value();
  ASSERT_FALSE(chunks.empty());
  ASSERT_TRUE(disk_->remove_file("data/chunks_head/" + chunks.back().name).ok());
  expect_discarded("head chunk files are not what they were");
  // Other blocks.
  options_.block_range = seconds(2000);
  expect_discarded("blocks of another length");
}

TEST_F(HeadImageTest, WhatAnotherProgramLoggedBehindItIsReplayed) {
  open();
  live(100);
  ASSERT_TRUE(db_->close().ok());
  Contents before = read_all(*db_);
  db_.reset();
  options_.head_image_interval = Duration{0};  // That program knows no images.
  open();
  live(50);
  before = read_all(*db_);
  ASSERT_TRUE(db_->close().ok());
  db_.reset();
  options_.head_image_interval = minutes(5);
  log_.emplace();
  open();
  EXPECT_TRUE(log_->contains("Head image loaded"));
  EXPECT_EQ(read_all(*db_), before);
}

TEST_F(HeadImageTest, APowerCutAtAnyWriteOfAnImageLosesNothing) {
  options_.out_of_order_time_window = Duration{0};
  const auto prepare = [&] {
    random_.seed(3);
    now_ms_ = 1'000'000;
    clock_ms_ = 0;
    disk_ = std::make_unique<FaultyFileSystem>();
    open();
    live(60);
    write_chunks();
    write_chunks();
    live(60);
  };
  prepare();
  const std::uint64_t begin = disk_->operation_count();
  write_chunks();
  write_chunks();
  const std::uint64_t end = disk_->operation_count();
  ASSERT_GT(end, begin + 5);
  db_.reset();
  for (std::uint64_t at = begin + 1; at <= end; ++at) {
    SCOPED_TRACE("cut at " + std::to_string(at - begin));
    prepare();
    const Contents before = read_all(*db_);
    disk_->cut_power_at(at);
    write_chunks();
    write_chunks();
    db_.reset();
    disk_ = disk_->after_power_cut(at);
    open();
    EXPECT_EQ(read_all(*db_), before);
    db_.reset();
  }
}

TEST(HeadImageFormat, IsReadAsTheFormatPageSays) {
  const std::string page = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";
  const std::string example = testing::format_example(page, "Head image");
  const auto image = HeadImage::parse(as_bytes(example), nullptr);
  ASSERT_TRUE(image.ok()) << image.status().message();
  std::vector<std::string> pairs;
  ASSERT_TRUE((*image)
                  ->for_each_pair([&](std::string_view name, std::string_view value) -> Status {
                    pairs.push_back(std::string(name) + "=" + std::string(value));
                    return {};
                  })
                  .ok());
  EXPECT_EQ(pairs, (std::vector<std::string>{"__name__=up", "job=a"}));
  int count = 0;
  const auto take = [&](const ImageSeries& series) -> Status {
    ++count;
    EXPECT_EQ(series.ref, 7u);
    EXPECT_EQ(series.pairs, (std::vector<std::uint32_t>{0, 1}));
    EXPECT_EQ(series.chunk.t, 1'700'000'015'000);
    EXPECT_EQ(series.chunk_start, 1'700'000'000'000);
    EXPECT_EQ(series.chunk.sample_count, 2);
    EXPECT_EQ(series.chunks.size(), 1u);
    EXPECT_EQ(series.chunks.at(0).file, 1u);
    EXPECT_EQ(series.chunks.at(0).offset, 8u);
    return {};
  };
  ASSERT_TRUE((*image)->for_each_series(take).ok());
  EXPECT_EQ(count, 1);
  EXPECT_EQ((*image)->origin().series_count, 1u);
  ASSERT_EQ((*image)->origin().files.size(), 2u);
  EXPECT_EQ((*image)->origin().files[0].kind, ImageFile::Kind::kHeadChunks);
}

/// Writes the example of the page: how it was made.
TEST(HeadImageFormat, IsWrittenAsTheFormatPageSays) {
  FaultyFileSystem files;
  const auto writer = HeadImageWriter::create(files, "data").value();
  ASSERT_TRUE(writer->add_pair("__name__", "up").ok());
  ASSERT_TRUE(writer->add_pair("job", "a").ok());
  ImageSeries series;
  series.ref = 7;
  series.hash = 0x01020304;
  series.pairs = {0, 1};
  series.has_sample = true;
  XorEncoder encoder;
  encoder.append({Timestamp{1'700'000'000'000}, 1.0});
  encoder.append({Timestamp{1'700'000'015'000}, 1.0});
  series.chunk = encoder.state();
  series.chunk_start = 1'700'000'000'000;
  series.next_at = 1'700'006'400'000;
  series.open_encoding = 1;
  const std::string open(as_text(encoder.bytes()));
  series.open = as_bytes(open);
  ImageChunk chunk;
  chunk.min_t = 1'699'999'000'000;
  chunk.max_t = 1'699'999'985'000;
  chunk.encoding = 1;
  chunk.size = 120;
  chunk.file = 1;
  chunk.offset = 8;
  series.chunks = {chunk};
  ASSERT_TRUE(writer->add_series(series).ok());
  ImageOrigin origin;
  origin.block_range = hours(2);
  origin.served_until = Timestamp{1'699'999'000'000};
  origin.log_begin = origin.log_end = {(std::uint64_t{5} << 32) | 4096};
  origin.newest_ref = 7;
  origin.series_count = 1;
  origin.files = {{ImageFile::Kind::kHeadChunks, 1, 158, 0x11223344},
                  {ImageFile::Kind::kSegment, 5, 4096, 0x55667788}};
  ASSERT_TRUE(writer->publish(origin).ok());
  const std::string page = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";
  const std::string example = testing::format_example(page, "Head image");
  const std::string written = read_file(files, kImagePath, 1 << 20).value();
  std::string hex;
  for (const char c : written) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  EXPECT_TRUE(written == example) << hex;
}

}  // namespace
}  // namespace tarsier::tsdb
