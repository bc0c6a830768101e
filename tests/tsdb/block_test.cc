// A block is read as it was written; a directory of blocks is put in order and kept in order.

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

using testing::BlockShape;
using testing::Samples;
using testing::samples_between;
using testing::test_ulid;
using testing::try_write_block;
using testing::write_block;
using Model = testing::BlockModel;

Samples to_samples(const SampleColumns& columns) {
  Samples samples;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    samples.push_back({Timestamp{columns.times_ms[i]}, columns.values[i]});
  }
  return samples;
}

Samples within(const Samples& samples, TimeRange range) {
  Samples kept;
  for (const Sample& sample : samples) {
    if (range.contains(sample.t)) kept.push_back(sample);
  }
  return kept;
}

void expect_equal(const std::shared_ptr<const Block>& block, const Model& model, TimeRange range) {
  const auto querier = make_block_querier(block, range);
  const auto set = querier->select({}, {.range = range}, nullptr).value();
  std::size_t i = 0;
  for (const auto& [labels, all] : model) {
    const Samples expected = within(all, range);
    if (i == set->size() || set->labels(i) != labels) {
      EXPECT_TRUE(expected.empty()) << labels.to_string() << " is missing";
      continue;
    }
    for (const LabelView& label : labels) EXPECT_EQ(set->label(i, label.name), label.value);
    EXPECT_EQ(set->label(i, "absent"), "");
    SampleColumns columns;
    ASSERT_TRUE(set->read(i, range, columns).ok());
    EXPECT_EQ(to_samples(columns), expected);
    const auto last = set->last_sample(i, range).value();
    EXPECT_EQ(last.has_value(), !expected.empty());
    if (last.has_value() && !expected.empty()) {
      EXPECT_EQ(*last, expected.back());
    }
    ++i;
  }
  EXPECT_EQ(i, set->size());
}

Model random_model(std::mt19937& random) {
  const auto up_to = [&](unsigned n) { return static_cast<unsigned>(random() % (n + 1)); };
  Model model;
  for (unsigned n = 1 + up_to(60); n > 0; --n) {
    Samples samples;
    std::int64_t t = up_to(100'000);
    for (unsigned count = 1 + up_to(up_to(3) == 0 ? 500 : 3); count > 0; --count) {
      const double v = up_to(20) == 0 ? stale_marker() : up_to(1000) / 10.0;
      samples.push_back({Timestamp{t}, v});
      t += 1 + up_to(up_to(30) == 0 ? 1'000'000 : 15'000);
    }
    model[Labels{{"__name__", "m" + std::to_string(up_to(3))}, {"i", std::to_string(n)}}] = samples;
  }
  return model;
}

TEST(Block, IsReadAsItWasWritten) {
  testing::TemporaryDirectory directory;
  const auto disk = make_posix_file_system();
  testing::FaultyFileSystem memory;  // Does not map files, and syncs at once.
  for (unsigned seed = 0; seed < 25; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Model model = random_model(random);
    const Ulid ulid = test_ulid(static_cast<int>(seed));
    // Small segments: chunks of a series lie in several files.
    const BlockShape shape{.samples_per_chunk = 1 + random() % 130,
                           .segment_bytes_max = seed % 2 == 0 ? 200u : 1u << 30};
    FileSystem& files = seed % 2 == 0 ? static_cast<FileSystem&>(memory) : *disk;
    const std::string data = seed % 2 == 0 ? "data" : directory.path();
    const BlockMeta meta = write_block(files, data, ulid, model, shape);
    const auto block = Block::open(files, join_path(data, ulid.to_string()));
    ASSERT_TRUE(block.ok()) << block.status().message();
    EXPECT_EQ((*block)->meta(), meta);
    EXPECT_EQ(meta.series_count, model.size());
    EXPECT_EQ(meta.sample_count, meta.float_sample_count);
    expect_equal(*block, model, TimeRange{});
    for (int n = 0; n < 10; ++n) {
      const Timestamp min{static_cast<std::int64_t>(random() % 2'000'000)};
      expect_equal(*block, model, {min, min + milliseconds(random() % 1'000'000)});
    }
  }
}

TEST(Block, ChunksLargerThanOneReadAreReadWhole) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  std::mt19937_64 random(1);
  Model model;
  for (const char* name : {"a", "b"}) {
    Samples& samples = model[Labels{{"__name__", name}}];
    for (std::int64_t t = 0; t < 3 * 40'000; ++t) {
      samples.push_back({Timestamp{t * 7}, std::bit_cast<double>(random() >> 2)});
    }
  }
  write_block(*files, "data", test_ulid(1), model, {.samples_per_chunk = 40'000});
  const auto block = Block::open(*files, join_path("data", test_ulid(1).to_string())).value();
  expect_equal(block, model, TimeRange{});
  EXPECT_EQ(block->meta().chunk_count, 6u);
}

TEST(Block, SeriesAreReadTheSameInAnyOrder) {
  testing::FaultyFileSystem files;
  std::mt19937 random(7);
  Model model;
  for (int i = 0; i < 300; ++i) {  // About 100 KB of chunks: several reads of growing length.
    Samples& samples = model[Labels{{"i", std::to_string(1000 + i)}}];
    for (std::int64_t t = 0; t < 100; ++t) {
      samples.push_back({Timestamp{t * 1000 + i}, static_cast<double>(random())});
    }
  }
  write_block(files, "data", test_ulid(1), model, {.samples_per_chunk = 30});
  const auto block = Block::open(files, join_path("data", test_ulid(1).to_string())).value();
  const auto set = make_block_querier(block, TimeRange{})->select({}, {}, nullptr).value();
  ASSERT_EQ(set->size(), model.size());
  for (const std::size_t stride :
       std::vector<std::size_t>{1, 2, 71}) {  // Forward, with gaps, jumping about.
    SCOPED_TRACE(stride);
    for (std::size_t n = 0; n < set->size(); ++n) {
      const std::size_t i = n * stride % set->size();
      const Samples& expected = model.at(Labels{{"i", std::to_string(1000 + i)}});
      SampleColumns columns;
      ASSERT_TRUE(set->read(i, TimeRange{}, columns).ok());
      ASSERT_EQ(to_samples(columns), expected) << i;
      ASSERT_EQ(set->last_sample(i, TimeRange{}).value(), expected.back()) << i;
    }
  }
}

TEST(Block, SelectsNamesAndValuesByMatcher) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const Samples samples = samples_between(0, 100, 10);
  const Model model = {{Labels{{"__name__", "up"}, {"job", "a"}}, samples},
                       {Labels{{"__name__", "up"}, {"job", "b"}, {"zone", "z"}}, samples},
                       {Labels{{"__name__", "down"}, {"job", "c"}}, samples}};
  write_block(*files, "data", test_ulid(1), model);
  const auto block = Block::open(*files, join_path("data", test_ulid(1).to_string())).value();
  const auto querier = make_block_querier(block, TimeRange{});
  using Strings = std::vector<std::string>;
  const std::vector<Matcher> up = {Matcher::equal("__name__", "up")};
  EXPECT_EQ(querier->label_names({}).value(), (Strings{"__name__", "job", "zone"}));
  EXPECT_EQ(querier->label_names({Matcher::equal("job", "c")}).value(),
            (Strings{"__name__", "job"}));
  EXPECT_EQ(querier->label_values("job", {}).value(), (Strings{"a", "b", "c"}));
  EXPECT_EQ(querier->label_values("job", up).value(), (Strings{"a", "b"}));
  EXPECT_EQ(querier->label_values("none", up).value(), Strings{});
  EXPECT_EQ(querier->select(up, {.series_limit = 1}, nullptr).value()->size(), 1u);
  const auto outside = make_block_querier(block, {Timestamp{100}, Timestamp{200}});
  EXPECT_EQ(outside->select(up, {}, nullptr).value()->size(), 0u);
  EXPECT_EQ(outside->label_names({}).value(), Strings{});
}

TEST(Block, DeletedRangesAreNotRead) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const Model model = {{Labels{{"a", "1"}}, samples_between(0, 1000, 10)},
                       {Labels{{"a", "2"}}, samples_between(0, 1000, 10)}};
  write_block(*files, "data", test_ulid(1), model, {.samples_per_chunk = 10});
  const std::string path = join_path("data", test_ulid(1).to_string());
  std::vector<std::uint32_t> refs;
  ASSERT_TRUE(Block::open(*files, path).value()->index().append_all(refs).ok());
  Tombstones tombstones;
  tombstones.add(refs[0], {Timestamp{0}, Timestamp{45}});
  tombstones.add(refs[0], {Timestamp{500}, kMaxTimestamp});
  ASSERT_TRUE(
      write_file_atomically(*files, join_path(path, kTombstonesFileName), tombstones.encode())
          .ok());
  Model left = model;
  left[Labels{{"a", "1"}}] = samples_between(50, 500, 10);
  expect_equal(Block::open(*files, path).value(), left, TimeRange{});
}

TEST(Block, ChunksOfUnknownEncodingsAreSkippedAndCounted) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  BlockMeta meta;
  meta.ulid = test_ulid(1);
  meta.max_time = Timestamp{100};
  SymbolSet symbols;
  symbols.add(Labels{{"a", "1"}});
  auto writer = BlockWriter::create(*files, "data", meta, std::move(symbols), 1 << 20).value();
  XorEncoder floats;
  floats.append({Timestamp{50}, 1.5});
  const std::string histogram("\0\1\0", 3);
  const std::vector<EncodedChunk> chunks = {
      {Timestamp{0}, Timestamp{9}, {ChunkEncoding{7}, as_bytes(histogram)}},
      {Timestamp{50}, Timestamp{50}, {ChunkEncoding::kXor, floats.bytes()}},
      {Timestamp{60}, Timestamp{60}, {ChunkEncoding{0xff}, as_bytes(histogram)}}};
  ASSERT_TRUE(writer->add_series(Labels{{"a", "1"}}, chunks).ok());
  EXPECT_EQ(writer->finish().value()->histogram_sample_count, 2u);
  const auto block = Block::open(*files, join_path("data", meta.ulid.to_string())).value();
  expect_equal(block, {{Labels{{"a", "1"}}, {{Timestamp{50}, 1.5}}}}, TimeRange{});
  EXPECT_EQ(block->skipped_chunk_count(), 3u);
}

TEST(Block, WithoutSeriesThereIsNone) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  BlockMeta meta;
  meta.max_time = Timestamp{1};
  auto writer = BlockWriter::create(*files, "data", meta, {}, 1 << 20).value();
  EXPECT_FALSE(writer->finish().value().has_value());
  writer.reset();
  EXPECT_TRUE(files->list(std::string("data")).value().empty());
}

TEST(Block, DamagedChunksAreErrorsNotWrongSamples) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const Model model = {{Labels{{"a", "1"}}, samples_between(0, 400, 10)}};
  write_block(*files, "data", test_ulid(1), model, {.samples_per_chunk = 10});
  const std::string path = join_path("data", test_ulid(1).to_string());
  const std::string segment = path + "/chunks/000001";
  const std::string good = read_file(*files, segment, 1 << 20).value();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x81);
    ASSERT_TRUE(write_file_atomically(*files, segment, bad).ok());
    const auto block = Block::open(*files, path);
    if (!block.ok()) continue;
    const auto querier = make_block_querier(*block, TimeRange{});
    const auto set = querier->select({}, {}, nullptr).value();
    SampleColumns columns;
    if (set->read(0, TimeRange{}, columns).ok()) {
      EXPECT_GE(i, 5u);
      EXPECT_LT(i, 8u) << "only the header's padding is unchecked";
    }
  }
}

// A directory of blocks.

std::vector<std::string> names_of(const BlockSet& set) {
  std::vector<std::string> names;
  for (const auto& block : *set.blocks()) names.push_back(block->meta().ulid.to_string());
  return names;
}

Model one_series(std::int64_t min, std::int64_t max) {
  return {{Labels{{"a", "1"}}, samples_between(min, max, 10)}};
}

TEST(BlockSet, OpensBlocksInOrderOfTimeAndIgnoresTheRest) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const std::string data = "data";
  write_block(*files, data, test_ulid(1), one_series(5000, 6000));
  write_block(*files, data, test_ulid(2), one_series(0, 1000));
  const std::string remnant = join_path(data, test_ulid(3).to_string());
  const std::string unfinished = join_path(data, test_ulid(4).to_string()) + ".tmp-for-creation";
  for (const std::string& name : {remnant + "/chunks", unfinished, data + "/wal"}) {
    ASSERT_TRUE(files->create_directories(name).ok());
  }
  testing::CapturingLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  EXPECT_EQ(names_of(*set), (std::vector{test_ulid(2).to_string(), test_ulid(1).to_string()}));
  EXPECT_EQ(set->complete_until().ms, 5991);
  EXPECT_TRUE(files->exists(remnant));
  EXPECT_FALSE(files->exists(unfinished));
  EXPECT_TRUE(files->exists(data + "/wal"));
  ASSERT_TRUE(set->reload().ok());
  const auto lines = log.lines();
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) {
                            return line.find("left alone") != std::string::npos;
                          }),
            1)
      << "a remnant is told once";
}

TEST(BlockSet, ADamagedBlockIsSetAsideAndTheOthersServe) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const std::string data = "data";
  for (int i = 1; i <= 5; ++i) {
    write_block(*files, data, test_ulid(i), one_series(i * 1000, i * 1000 + 500));
  }
  const auto path = [&](int i) { return join_path(data, test_ulid(i).to_string()); };
  ASSERT_TRUE(write_file_atomically(*files, path(1) + "/meta.json", "{").ok());
  ASSERT_TRUE(files->remove_file(path(2) + "/index").ok());
  ASSERT_TRUE(write_file_atomically(*files, path(3) + "/tombstones", "none").ok());
  ASSERT_TRUE(files->truncate(path(4) + "/index", 100).ok());
  testing::CapturingLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  EXPECT_EQ(names_of(*set), std::vector{test_ulid(5).to_string()});
  for (int i = 1; i <= 4; ++i) {
    EXPECT_FALSE(files->exists(path(i)));
    EXPECT_TRUE(files->exists(data + "/tarsier/damaged/" + test_ulid(i).to_string()));
    EXPECT_TRUE(log.contains(test_ulid(i).to_string()));
  }
}

TEST(BlockSet, WhatWasFoldedIntoAnotherBlockIsDeleted) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const std::string data = "data";
  write_block(*files, data, test_ulid(1), one_series(0, 1000));
  write_block(*files, data, test_ulid(2), one_series(1000, 2000));
  write_block(*files, data, test_ulid(3), one_series(0, 2000),
              {.parents = {{test_ulid(1), {}, {}}, {test_ulid(2), {}, {}}}});
  write_block(*files, data, test_ulid(4), one_series(3000, 4000), {.deletable = true});
  ASSERT_TRUE(files->truncate(join_path(data, test_ulid(2).to_string()) + "/index", 10).ok());
  testing::CapturingLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  EXPECT_EQ(names_of(*set), std::vector{test_ulid(3).to_string()});
  EXPECT_EQ(files->list(data).value().size(), 1u);
}

TEST(BlockSet, ADeletedBlockStaysReadableForWhoeverHoldsIt) {
  testing::TemporaryDirectory directory;
  const auto files = make_posix_file_system();
  const std::string& data = directory.path();
  const Model model = one_series(0, 1000);
  write_block(*files, data, test_ulid(1), model);
  NullLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  const auto held = set->blocks();
  ASSERT_TRUE(set->remove(test_ulid(1)).ok());
  EXPECT_TRUE(set->blocks()->empty());
  EXPECT_TRUE(files->list(data).value().empty());
  expect_equal(held->front(), model, TimeRange{});
}

TEST(BlockSet, ReloadPicksUpNewBlocksAndDropsVanishedOnes) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const std::string data = "data";
  write_block(*files, data, test_ulid(1), one_series(0, 1000));
  NullLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  const auto first = set->blocks()->front();
  write_block(*files, data, test_ulid(2), one_series(1000, 2000));
  ASSERT_TRUE(set->reload().ok());
  ASSERT_EQ(set->blocks()->size(), 2u);
  EXPECT_EQ(set->blocks()->front(), first) << "an open block is not opened again";
  ASSERT_TRUE(files->remove_all(join_path(data, test_ulid(1).to_string())).ok());
  ASSERT_TRUE(set->reload().ok());
  EXPECT_EQ(names_of(*set), std::vector{test_ulid(2).to_string()});
}

TEST(BlockSet, RetentionTakesWholeBlocksByAgeAndBySize) {
  const auto files = std::make_unique<testing::FaultyFileSystem>();
  const std::string data = "data";
  for (int i = 1; i <= 4; ++i) {  // Ends at 1991, 2991, 3991, 4991.
    write_block(*files, data, test_ulid(i), one_series(i * 1000, i * 1000 + 1000));
  }
  NullLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  const BlockList& blocks = *set->blocks();
  const auto expired = [&](RetentionLimits limits) {
    return blocks_to_expire(blocks, limits).size();
  };
  EXPECT_EQ(expired({}), 0u);
  EXPECT_EQ(expired({.time = milliseconds(3001)}), 0u);
  EXPECT_EQ(expired({.time = milliseconds(3000)}), 1u);  // "At least", as Prometheus counts.
  EXPECT_EQ(expired({.time = milliseconds(1)}), 3u);
  const std::uint64_t size = blocks[3]->size_bytes();
  EXPECT_EQ(expired({.bytes = size}), 3u);
  EXPECT_EQ(expired({.bytes = size - 1}), 3u) << "the newest says where the log begins";
  EXPECT_EQ(expired({.bytes = 1, .complete_elsewhere = Timestamp{6000}}), 4u);
  EXPECT_EQ(set->apply_retention({.time = milliseconds(2000)}).value().for_age, 2u);
  EXPECT_EQ(names_of(*set), (std::vector{test_ulid(3).to_string(), test_ulid(4).to_string()}));
}

TEST(BlockSet, APowerCutLeavesAWholeBlockOrNone) {
  const Model model = one_series(0, 1000);
  std::uint64_t operations = 0;
  {
    testing::FaultyFileSystem files;
    ASSERT_TRUE(files.create_directories("data").ok());
    write_block(files, "data", test_ulid(1), model);
    operations = files.operation_count();
  }
  std::size_t whole_count = 0;
  for (std::uint64_t cut = 1; cut <= operations; ++cut) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      SCOPED_TRACE("cut " + std::to_string(cut) + " seed " + std::to_string(seed));
      testing::FaultyFileSystem files;
      files.cut_power_at(cut);
      bool done = files.create_directories("data").ok();
      if (done) done = try_write_block(files, "data", test_ulid(1), model, {}).ok();
      const auto after = files.after_power_cut(seed);
      testing::CapturingLogger log;
      const auto set = BlockSet::open(*after, "data", log);
      ASSERT_TRUE(set.ok()) << set.status().message();
      EXPECT_FALSE((*after).exists("data/tarsier/damaged"));
      EXPECT_TRUE(!done || (*set)->blocks()->size() == 1);
      if ((*set)->blocks()->empty()) continue;
      ++whole_count;
      expect_equal((*set)->blocks()->front(), model, TimeRange{});
    }
  }
  EXPECT_GT(whole_count, 0u);
}

/// As Prometheus: 2 was a mistake of one release, what else is unknown may be sound.
TEST(BlockSet, PutsVersionTwoRightAndLeavesOthersAlone) {
  testing::FaultyFileSystem files;
  const Model model = {{{{"__name__", "m"}}, samples_between(0, 1000, 100)}};
  for (const int number : {1, 2}) write_block(files, "data", test_ulid(number), model);
  const auto directory = [](int number) { return "data/" + test_ulid(number).to_string(); };
  const auto set_version = [&](int number, const char* version) {
    const std::string path = directory(number) + "/meta.json";
    std::string meta = read_file(files, path, 1 << 20).value();
    const std::size_t at = meta.find("\"version\": 1");
    ASSERT_NE(at, std::string::npos);
    meta.replace(at, 12, std::string("\"version\": ") + version);
    ASSERT_TRUE(write_file_atomically(files, path, meta).ok());
  };
  set_version(1, "2");
  set_version(2, "3");
  std::string index = read_file(files, directory(1) + "/index", 1 << 20).value();
  index[4] = 1;
  ASSERT_TRUE(write_file_atomically(files, directory(1) + "/index", index).ok());

  testing::CapturingLogger log;
  const auto set = BlockSet::open(files, "data", log).value();
  ASSERT_EQ(set->blocks()->size(), 1u);
  EXPECT_EQ(set->blocks()->front()->meta().ulid, test_ulid(1));
  EXPECT_EQ(testing::read_block(set->blocks()->front()), model);
  EXPECT_EQ(read_file(files, directory(1) + "/index", 1 << 20).value()[4], 2);
  EXPECT_TRUE(files.exists(directory(2) + "/meta.json"));
  EXPECT_TRUE(log.contains("unknown version"));
}

}  // namespace
}  // namespace tarsier::tsdb
