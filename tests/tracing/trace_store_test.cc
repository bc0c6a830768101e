#include "tracing/trace_store.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/tracing/shop.h"
#include "tests/tracing/span_lab.h"
#include "tracing/store/kept_log.h"
#include "tracing/store/store_snapshot.h"

namespace tarsier::tracing {
namespace {

using testing::FaultyFileSystem;

constexpr Timestamp kNow{1'800'000'000'000};
const TraceStoreOptions kSmall{.retention = Duration{0},
                               .group_rows = 64,
                               .open_rows_max = 300,
                               .open_age_max = minutes(10),
                               .merge_count = 3};

std::unique_ptr<TraceStore> opened(FileSystem& files, const TraceStoreOptions& options = kSmall) {
  static NullLogger log;
  Result<std::unique_ptr<TraceStore>> store = TraceStore::open(files, "traces", options, log, kNow);
  EXPECT_TRUE(store.ok()) << store.status().message();
  return store.ok() ? std::move(*store) : nullptr;
}

/// Span ids by trace.
using Contents = std::map<TraceId, std::set<std::uint64_t>>;

std::set<std::uint64_t> spans_of(const TraceStore& store, TraceId id) {
  Status problem;
  std::set<std::uint64_t> out;
  const FoundTrace found = store.snapshot()->find(id, problem);
  EXPECT_TRUE(problem.ok()) << problem.message();
  for (const KeptSpan& span : found.spans) {
    SpanRecord record;
    EXPECT_TRUE(read_span(span.span, record));
    EXPECT_EQ(record.trace_id, id);
    out.insert(record.span_id.value);
  }
  return out;
}

Contents contents_of(const std::vector<KeptTrace>& traces) {
  Contents out;
  for (const KeptTrace& trace : traces) {
    for (const KeptSpan& span : trace.spans) {
      SpanRecord record;
      EXPECT_TRUE(read_span(span.span, record));
      out[trace.trace_id].insert(record.span_id.value);
    }
  }
  return out;
}

/// What is found by going through every part.
Contents scanned(const TraceStore& store) {
  Contents out;
  for (const TracePart& part : store.snapshot()->parts()) {
    Result<std::unique_ptr<SpanRows>> rows = part.open();
    EXPECT_TRUE(rows.ok()) << rows.status().message();
    if (!rows.ok()) continue;
    for (std::uint32_t row = 0; row < (*rows)->row_count(); ++row) {
      const RowBasics& basics = (*rows)->basics();
      out[basics.trace_ids[basics.trace_of[row]]].insert(basics.span_ids[row].value);
    }
  }
  return out;
}

void expect_holds(const TraceStore& store, const Contents& expected) {
  EXPECT_EQ(scanned(store), expected);
  for (const auto& [id, spans] : expected) EXPECT_EQ(spans_of(store, id), spans);
  EXPECT_TRUE(spans_of(store, {.high = 1, .low = 1}).empty());
}

TEST(TraceStore, ShowsWhatItTookAtOnce) {
  FaultyFileSystem disk;
  const auto store = opened(disk);
  Shop shop(1, 5);
  ASSERT_TRUE(store->keep(shop.traces(), kNow).ok());
  expect_holds(*store, contents_of(shop.traces()));
}

TEST(TraceStore, FindsEverythingInMemoryInBlocksAndAfterAStart) {
  FaultyFileSystem disk;
  Shop shop(2, 60);
  const Contents expected = contents_of(shop.traces());
  {
    const auto store = opened(disk);
    for (std::size_t i = 0; i < shop.traces().size(); i += 5) {
      ASSERT_TRUE(store->keep(std::span(shop.traces()).subspan(i, 5), kNow).ok());
      store->run_due(kNow + milliseconds(static_cast<std::int64_t>(i)));
    }
    EXPECT_GT(store->snapshot()->blocks.size(), 0u);
    expect_holds(*store, expected);
    ASSERT_TRUE(store->close().ok());
  }
  const auto disk_after = disk.after_process_crash();
  const auto store = opened(*disk_after);
  expect_holds(*store, expected);
  ASSERT_TRUE(store->flush(kNow).ok());
  expect_holds(*store, expected);
}

TEST(TraceStore, WritesTheOpenBlockWhenItIsOld) {
  FaultyFileSystem disk;
  const auto store = opened(disk);
  Shop shop(3, 1);
  ASSERT_TRUE(store->keep(shop.traces(), kNow).ok());
  store->run_due(kNow + minutes(9));
  EXPECT_EQ(store->snapshot()->blocks.size(), 0u);
  store->run_due(kNow + minutes(10));
  ASSERT_EQ(store->snapshot()->blocks.size(), 1u);
  const TraceBlockMeta& meta = store->snapshot()->blocks[0]->meta();
  EXPECT_EQ(meta.filed_min, kNow);
  EXPECT_EQ(meta.trace_count, 1u);
}

TEST(TraceStore, UnitesPartsOfATraceThatCameLate) {
  FaultyFileSystem disk;
  auto store = opened(disk);
  const TraceId id{.high = 4, .low = 2};
  for (std::uint64_t i = 1; i <= 4; ++i) {
    SpanLab lab;
    lab.add(id, {{.id = i, .start_ns = 1000 + i}, {.id = 99, .start_ns = 5}});
    ASSERT_TRUE(store->keep(lab.traces(), kNow).ok());
    if (i == 2) store->run_due(kNow);
    if (i != 4) {
      ASSERT_TRUE(store->flush(kNow).ok());
    }
  }
  EXPECT_TRUE(store->snapshot()->late->contains(id));
  EXPECT_EQ(spans_of(*store, id), (std::set<std::uint64_t>{1, 2, 3, 4, 99}));
  store->run_due(kNow);  // Three blocks become one, and the parts of the trace one part.
  ASSERT_EQ(store->snapshot()->blocks.size(), 1u);
  EXPECT_EQ(store->snapshot()->blocks[0]->meta().row_count, 4u);
  EXPECT_EQ(spans_of(*store, id), (std::set<std::uint64_t>{1, 2, 3, 4, 99}));
  store.reset();
  EXPECT_TRUE(opened(*disk.after_process_crash())->snapshot()->late->contains(id));
}

TEST(TraceStore, MergesNeighboursAndKeepsEverySpan) {
  FaultyFileSystem disk;
  const auto store = opened(disk);
  Contents expected;
  for (unsigned i = 0; i < 9; ++i) {
    Shop shop(10 + i, 5);
    expected.merge(contents_of(shop.traces()));
    ASSERT_TRUE(store->keep(shop.traces(), kNow + seconds(i)).ok());
    ASSERT_TRUE(store->flush(kNow + seconds(i)).ok());
    store->run_due(kNow + seconds(i));
    expect_holds(*store, expected);
  }
  EXPECT_LE(store->snapshot()->blocks.size(), 4u);
  expect_holds(*opened(*disk.after_process_crash()), expected);
  const Result<BlockSummary> summary = store->snapshot()->summary();
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->operations.size(), 7u);
  EXPECT_GT(summary->calls.size(), 20u);
}

TEST(TraceStore, RemovesBlocksByAgeAndBySize) {
  FaultyFileSystem disk;
  TraceStoreOptions options = kSmall;
  options.retention = hours(1);
  options.merge_count = 100;
  {
    const auto store = opened(disk, options);
    for (int i = 0; i < 3; ++i) {
      Shop shop(static_cast<unsigned>(i), 10);
      ASSERT_TRUE(store->keep(shop.traces(), kNow + minutes(i * 20)).ok());
      ASSERT_TRUE(store->flush(kNow + minutes(i * 20)).ok());
    }
    store->run_due(kNow + minutes(60));
    EXPECT_EQ(store->snapshot()->blocks.size(), 3u);
    store->run_due(kNow + minutes(61));
    EXPECT_EQ(store->snapshot()->blocks.size(), 2u);
  }
  options.retention = Duration{0};
  options.max_bytes = 1;
  const auto store = opened(disk, options);
  store->run_due(kNow);
  EXPECT_EQ(store->snapshot()->blocks.size(), 0u);
}

TEST(TraceStore, SetsADamagedBlockAsideAndServesTheRest) {
  FaultyFileSystem disk;
  Shop first(1, 10);
  Shop second(2, 10);
  std::string path;
  {
    const auto store = opened(disk);
    ASSERT_TRUE(store->keep(first.traces(), kNow).ok());
    ASSERT_TRUE(store->flush(kNow).ok());
    path = store->snapshot()->blocks[0]->path();
    ASSERT_TRUE(store->keep(second.traces(), kNow).ok());
    ASSERT_TRUE(store->flush(kNow).ok());
  }
  ASSERT_TRUE(disk.truncate(path, 1000).ok());
  testing::CapturingLogger log;
  const auto store = TraceStore::open(disk, "traces", kSmall, log, kNow);
  ASSERT_TRUE(store.ok());
  expect_holds(**store, contents_of(second.traces()));
  EXPECT_TRUE(disk.exists(path + ".damaged"));
}

/// Flips one bit of a file.
void damage(FileSystem& files, const std::string& path, std::size_t byte) {
  Result<std::string> all = read_file(files, path, 1 << 30);
  ASSERT_TRUE(all.ok());
  (*all)[byte] = static_cast<char>((*all)[byte] ^ 0x10);
  auto file = files.open_writable(path, OpenMode::kTruncate);
  ASSERT_TRUE(file.ok() && (*file)->append(as_bytes(*all)).ok());
}

TEST(TraceStore, NamesDamageInABlockAndShowsNoWrongSpan) {
  FaultyFileSystem disk;
  Shop shop(7, 30);
  const Contents expected = contents_of(shop.traces());
  std::string path;
  {
    const auto store = opened(disk);
    ASSERT_TRUE(store->keep(shop.traces(), kNow).ok());
    ASSERT_TRUE(store->flush(kNow).ok());
    path = store->snapshot()->blocks[0]->path();
  }
  const Result<std::string> good = read_file(disk, path, 1 << 30);
  ASSERT_TRUE(good.ok());
  std::mt19937 random(3);
  for (int i = 0; i < 60; ++i) {
    const auto copy = disk.after_process_crash();
    const std::size_t byte = random() % good->size();
    damage(*copy, path, byte);
    SCOPED_TRACE("byte " + std::to_string(byte) + " of " + std::to_string(good->size()));
    const auto store = opened(*copy);
    if (store->snapshot()->blocks.empty()) continue;  // Set aside as a whole.
    std::size_t missing = 0;
    for (const auto& [id, spans] : expected) {
      Status problem;
      const FoundTrace found = store->snapshot()->find(id, problem);
      std::set<std::uint64_t> ids;
      for (const KeptSpan& span : found.spans) {
        SpanRecord record;
        ASSERT_TRUE(read_span(span.span, record));
        ids.insert(record.span_id.value);
      }
      EXPECT_TRUE(ids == spans || !problem.ok());
      if (!problem.ok()) ++missing;
    }
    // The first bytes are only a name; in the summary no trace is lost.
    if (missing == 0 && byte >= 8) {
      EXPECT_FALSE(store->snapshot()->summary().ok());
    }
  }
}

TEST(KeptLog, TreatsATornTailAsTheEndAndCountsOtherDamage) {
  FaultyFileSystem disk;
  NullLogger log;
  ASSERT_TRUE(disk.create_directories("log").ok());
  std::vector<std::size_t> ends = {8};
  {
    auto writer = KeptLogWriter::open(disk, "log", 1);
    ASSERT_TRUE(writer.ok());
    for (unsigned i = 0; i < 3; ++i) {
      Shop shop(i, 2);
      ASSERT_TRUE((*writer)->append(encode_kept(shop.traces(), kNow)).ok());
      ends.push_back((*writer)->segment_bytes());
    }
    ASSERT_TRUE((*writer)->sync().ok());
  }
  const auto replay = [&](FileSystem& files) {
    std::size_t traces = 0;
    const auto out = replay_kept_log(files, "log", 0, log,
                                     [&](std::vector<TraceFragment> f) { traces += f.size(); });
    EXPECT_TRUE(out.ok());
    return std::pair(traces, out->bytes_lost);
  };
  EXPECT_EQ(replay(disk), std::pair(std::size_t{6}, std::uint64_t{0}));
  const Result<std::string> all = read_file(disk, "log/00000001", 1 << 20);
  for (std::size_t size = 0; size <= all->size(); size += 7) {
    const auto copy = disk.after_process_crash();
    ASSERT_TRUE(copy->truncate("log/00000001", size).ok());
    std::size_t records = 0;
    while (records < 3 && ends[records + 1] <= size) ++records;
    EXPECT_EQ(replay(*copy), std::pair(2 * records, std::uint64_t{0})) << size;
  }
  const auto copy = disk.after_process_crash();
  damage(*copy, "log/00000001", ends[1] + 20);
  EXPECT_EQ(replay(*copy), std::pair(std::size_t{2}, std::uint64_t{ends[3] - ends[1]}));
}

/// Cuts the power at every operation of a life, and looks what the next one finds.
TEST(TraceStore, LosesNothingThatWasSyncedWhenThePowerGoes) {
  std::vector<Shop> shops;
  shops.reserve(8);
  for (unsigned i = 0; i < 8; ++i) shops.emplace_back(100 + i, 2);
  TraceStoreOptions options = kSmall;
  options.open_rows_max = 60;
  std::uint64_t operations = 0;
  for (std::uint64_t cut = 0; cut == 0 || cut <= operations; ++cut) {
    FaultyFileSystem disk;
    disk.cut_power_at(cut);
    Contents synced;
    Contents offered;
    static NullLogger log;
    auto store = TraceStore::open(disk, "traces", options, log, kNow);
    for (std::size_t i = 0; i < shops.size() && store.ok(); ++i) {
      const Timestamp t = kNow + seconds(static_cast<std::int64_t>(i));
      Contents more = contents_of(shops[i].traces());
      // Parts of an older trace come late.
      const KeptTrace& old = shops[i / 2].traces()[0];
      offered.insert(more.begin(), more.end());
      if (!(*store)->keep(shops[i].traces(), t).ok() || !(*store)->keep({&old, 1}, t).ok()) break;
      if ((*store)->sync().ok() && !disk.power_is_cut()) synced.insert(more.begin(), more.end());
      (*store)->run_due(t);
      if (disk.power_is_cut()) break;
    }
    if (cut == 0) operations = disk.operation_count();
    const auto after = disk.after_power_cut(cut);
    SCOPED_TRACE("power cut at operation " + std::to_string(cut));
    auto again = TraceStore::open(*after, "traces", options, log, kNow);
    ASSERT_TRUE(again.ok()) << again.status().message();
    const Contents found = scanned(**again);
    for (const auto& [id, spans] : synced) {
      const auto at = found.find(id);
      ASSERT_TRUE(at != found.end());
      ASSERT_EQ(at->second, spans);
    }
    for (const auto& [id, spans] : found) {
      ASSERT_TRUE(offered.contains(id));
      for (const std::uint64_t span : spans) ASSERT_TRUE(offered.at(id).contains(span));
    }
  }
  EXPECT_GT(operations, 50u);
}

TEST(TraceStore, GoesOnWhenTheLogCouldNotBeWritten) {
  FaultyFileSystem disk;
  Shop shop(1, 30);
  const std::span traces(shop.traces());
  {
    const auto store = opened(disk);
    ASSERT_TRUE(store->keep(traces.first(10), kNow).ok());
    disk.fail_append(1);
    EXPECT_FALSE(store->keep(traces.subspan(10, 10), kNow).ok());
    ASSERT_TRUE(store->keep(traces.subspan(10), kNow).ok());
    ASSERT_TRUE(store->sync().ok());
    expect_holds(*store, contents_of(shop.traces()));
  }
  testing::CapturingLogger log;
  const auto again = disk.after_power_cut(1);
  const auto store = TraceStore::open(*again, "traces", kSmall, log, kNow);
  ASSERT_TRUE(store.ok());
  expect_holds(**store, contents_of(shop.traces()));
}

TEST(TraceStore, GoesOnWhenABlockCannotBeWritten) {
  FaultyFileSystem disk;
  const auto store = opened(disk);
  Shop shop(1, 30);
  ASSERT_TRUE(store->keep(shop.traces(), kNow).ok());
  disk.fail_append(4);  // Behind the new log segment, inside the block.
  store->run_due(kNow);
  expect_holds(*store, contents_of(shop.traces()));
  store->run_due(kNow + minutes(1));
  EXPECT_EQ(store->snapshot()->blocks.size(), 1u);
  expect_holds(*store, contents_of(shop.traces()));
}

}  // namespace
}  // namespace tarsier::tracing
