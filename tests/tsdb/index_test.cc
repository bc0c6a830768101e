// An index is read as it was written, whatever its shape, and a damaged one never misleads.

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/index/index_reader.h"
#include "tsdb/index/index_writer.h"
#include "tsdb/index/select.h"

namespace tarsier::tsdb {
namespace {

static_assert(PostingsSource<const IndexReader>);

using Model = std::map<Labels, std::vector<ChunkMeta>>;

std::string write_index(FileSystem& files, const std::string& path, const Model& model,
                        SymbolSet symbols = {}) {
  for (const auto& [labels, chunks] : model) symbols.add(labels);
  auto writer = IndexWriter::create(files, path, std::move(symbols)).value();
  for (const auto& [labels, chunks] : model) {
    EXPECT_TRUE(writer->add_series(labels, chunks).ok());
  }
  EXPECT_TRUE(writer->finish().ok());
  return read_file(files, path, std::uint64_t{1} << 32).value();
}

Labels labels_of(const IndexReader& index, std::uint32_t ref) {
  std::vector<LabelView> views;
  EXPECT_TRUE(index.decode_labels(index.series(ref).value(), views).ok());
  return Labels::from_sorted(views);
}

/// Every question the reader answers, against the model.
void expect_equal(const IndexReader& index, const Model& model) {
  std::vector<std::uint32_t> refs;
  ASSERT_TRUE(index.append_all(refs).ok());
  ASSERT_EQ(refs.size(), model.size());
  std::map<std::string, std::map<std::string, std::vector<std::uint32_t>>> postings;
  std::size_t i = 0;
  for (const auto& [labels, chunks] : model) {
    const std::uint32_t ref = refs[i++];
    const Bytes series = index.series(ref).value();
    EXPECT_EQ(labels_of(index, ref), labels);
    std::vector<ChunkMeta> read;
    ASSERT_TRUE(index.append_chunks(series, {}, read).ok());
    EXPECT_EQ(read, chunks);
    for (const LabelView& label : labels) {
      postings[std::string(label.name)][std::string(label.value)].push_back(ref);
      EXPECT_EQ(index.label_value(ref, label.name).value(), label.value);
    }
    EXPECT_EQ(index.label_value(ref, "absent").value(), "");
  }
  std::vector<std::string_view> names;
  for (const auto& [name, values] : postings) {
    names.emplace_back(name);
    std::vector<std::string_view> all;
    for (const auto& [value, expected] : values) {
      all.emplace_back(value);
      std::vector<std::uint32_t> list;
      ASSERT_TRUE(index.append_postings(name, value, list).ok());
      EXPECT_EQ(list, expected) << name << "=" << value;
      list.clear();
      ASSERT_TRUE(index.append_postings(name, value + "!", list).ok());
      EXPECT_EQ(list.size(), values.contains(value + "!") ? values.at(value + "!").size() : 0);
    }
    EXPECT_EQ(index.label_values(name), all);
    EXPECT_EQ(index.value_count(name), all.size());
  }
  EXPECT_EQ(index.label_names(), names);
}

Model random_model(std::mt19937& random) {
  const auto up_to = [&](unsigned n) { return static_cast<unsigned>(random() % (n + 1)); };
  Model model;
  std::uint64_t chunk_ref = 8;
  std::set<Labels> sets;
  const unsigned value_max = 1 + up_to(120);  // Often more than 32 values of a label.
  for (unsigned n = up_to(200); n > 0; --n) {
    LabelsBuilder builder;
    builder.set("__name__", "metric_" + std::to_string(up_to(3)));
    for (unsigned label = up_to(5); label > 0; --label) {
      // Long enough now and then for lengths of two and three bytes.
      const std::size_t padding = up_to(40) == 0 ? up_to(20'000) : up_to(5);
      builder.set("l" + std::to_string(up_to(6)),
                  std::to_string(up_to(value_max)) + std::string(padding, 'x'));
    }
    sets.insert(builder.build());
  }
  for (const Labels& labels : sets) {
    std::int64_t t = static_cast<std::int64_t>(random()) - (std::int64_t{1} << 31);
    std::vector<ChunkMeta>& chunks = model[labels];
    for (unsigned n = 1 + up_to(4); n > 0; --n) {
      const std::int64_t max = t + up_to(1 << 30);
      chunks.push_back({Timestamp{t}, Timestamp{max}, chunk_ref});
      t = max + 1 + up_to(1 << 20);
      chunk_ref += 1 + (up_to(10) == 0 ? std::uint64_t{1} << 32 : up_to(1000));
    }
  }
  return model;
}

TEST(Index, IsReadAsItWasWritten) {
  testing::TemporaryDirectory directory;
  const auto files = make_posix_file_system();
  for (unsigned seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Model model = random_model(random);
    const std::string path = directory.path() + "/index";
    SymbolSet symbols;
    if (seed % 2 == 0) symbols.add("");  // Prometheus' blocks carry the empty string.
    if (seed % 3 == 0) symbols.add("unused");
    write_index(*files, path, model, symbols);
    auto index = IndexReader::open(*files, path);
    ASSERT_TRUE(index.ok()) << index.status().message();
    expect_equal(**index, model);
  }
}

TEST(Index, SeriesOfEveryLengthAreAligned) {
  testing::FaultyFileSystem files;
  Model model;
  std::uint64_t ref = 8;
  // One more byte of chunk reference or time each: entries end at every remainder of 16.
  for (int i = 0; i < 64; ++i) {
    std::vector<ChunkMeta>& chunks = model[Labels{{"i", std::to_string(1000 + i)}}];
    std::int64_t t = 0;
    for (int n = 0; n <= i; ++n) {
      chunks.push_back({Timestamp{t}, Timestamp{t}, ref++});
      t += 1;
    }
  }
  const std::string bytes = write_index(files, "index", model);
  const auto index = IndexReader::open_bytes(as_bytes(bytes), "index").value();
  expect_equal(*index, model);
  std::vector<std::uint32_t> refs;
  ASSERT_TRUE(index->append_all(refs).ok());
  std::set<std::size_t> paddings;
  for (std::size_t i = 0; i + 1 < refs.size(); ++i) {
    const Bytes body = index->series(refs[i]).value();
    const auto end =
        static_cast<std::size_t>(body.data() + body.size() + 4 - as_bytes(bytes).data());
    paddings.insert(refs[i + 1] * 16 - end);
  }
  EXPECT_TRUE(paddings.contains(0));
  EXPECT_TRUE(paddings.contains(15));
}

TEST(Index, TheExtremesOfTimeSurvive) {
  testing::FaultyFileSystem files;
  const Model model = {
      {Labels{{"a", "1"}}, {{kMinTimestamp, Timestamp{-1}, 8}, {Timestamp{0}, kMaxTimestamp, 9}}},
      {Labels{{"a", "2"}}, {{kMinTimestamp, kMaxTimestamp, std::uint64_t{7} << 60}}}};
  const std::string bytes = write_index(files, "index", model);
  expect_equal(*IndexReader::open_bytes(as_bytes(bytes), "index").value(), model);
}

TEST(Index, AnEmptyOneIsValid) {
  testing::FaultyFileSystem files;
  const std::string bytes = write_index(files, "index", {});
  expect_equal(*IndexReader::open_bytes(as_bytes(bytes), "index").value(), {});
}

TEST(Index, OnlyChunksOfTheAskedTimeAreGiven) {
  testing::FaultyFileSystem files;
  const Model model = {{Labels{{"a", "1"}},
                        {{Timestamp{0}, Timestamp{9}, 8},
                         {Timestamp{10}, Timestamp{19}, 9},
                         {Timestamp{20}, Timestamp{29}, 10}}}};
  const std::string bytes = write_index(files, "index", model);
  const auto index = IndexReader::open_bytes(as_bytes(bytes), "index").value();
  std::vector<std::uint32_t> refs;
  ASSERT_TRUE(index->append_all(refs).ok());
  const auto refs_in = [&](std::int64_t min, std::int64_t max) {
    std::vector<ChunkMeta> chunks;
    EXPECT_TRUE(index
                    ->append_chunks(index->series(refs[0]).value(),
                                    {Timestamp{min}, Timestamp{max}}, chunks)
                    .ok());
    std::vector<std::uint64_t> found;
    for (const ChunkMeta& chunk : chunks) found.push_back(chunk.ref);
    return found;
  };
  EXPECT_EQ(refs_in(9, 10), (std::vector<std::uint64_t>{8, 9}));
  EXPECT_EQ(refs_in(-5, -1), (std::vector<std::uint64_t>{}));
  EXPECT_EQ(refs_in(29, 100), (std::vector<std::uint64_t>{10}));
}

TEST(Index, ValuesAreWalkedFromTheirPrefix) {
  testing::FaultyFileSystem files;
  Model model;
  for (int i = 0; i < 1000; ++i) {
    model[Labels{{"pod", "p" + std::to_string(i)}}] = {{Timestamp{0}, Timestamp{1}, 8}};
  }
  const std::string bytes = write_index(files, "index", model);
  const auto index = IndexReader::open_bytes(as_bytes(bytes), "index").value();
  std::size_t asked = 0;
  PostingsRuns<std::uint32_t> runs;
  const auto keep = [&](std::string_view value) {
    ++asked;
    return value != "p77";
  };
  ASSERT_TRUE(index->append_values("pod", "p77", keep, runs).ok());
  EXPECT_EQ(asked, 11u);
  EXPECT_EQ(runs.ends.size(), 10u);
}

/// Asks everything; errors are fine, crashes and wrong answers that no checksum covers are not.
void read_everything(const IndexReader& index) {
  std::vector<std::uint32_t> refs;
  (void)index.append_all(refs).ok();
  std::vector<LabelView> labels;
  std::vector<ChunkMeta> chunks;
  for (const std::uint32_t ref : refs) {
    const auto series = index.series(ref);
    if (!series.ok()) continue;
    (void)index.decode_labels(*series, labels).ok();
    (void)index.append_chunks(*series, {}, chunks).ok();
  }
  for (const std::string_view name : index.label_names()) {
    for (const std::string_view value : index.label_values(name)) {
      (void)index.append_postings(name, value, refs).ok();
    }
  }
}

TEST(Index, EveryDamagedByteIsAnErrorOrHarmless) {
  testing::FaultyFileSystem files;
  Model model;
  for (int i = 0; i < 40; ++i) {
    model[Labels{{"a", std::to_string(i)}, {"b", std::to_string(i % 3)}}] = {
        {Timestamp{i}, Timestamp{i + 1}, 8}};
  }
  const std::string good = write_index(files, "index", model);
  const auto good_index = IndexReader::open_bytes(as_bytes(good), "index").value();
  const std::vector<Matcher> matchers = {Matcher::equal("b", "1")};
  const auto answer = [&](const IndexReader& index) -> Result<std::vector<Labels>> {
    std::vector<Labels> found;
    std::vector<LabelView> views;
    for (const std::uint32_t r : TRY(select_postings(index, matchers, nullptr))) {
      const Bytes series = TRY(index.series(r));
      TRY(index.decode_labels(series, views));
      found.push_back(Labels::from_sorted(views));
    }
    return found;
  };
  const std::vector<Labels> expected = answer(*good_index).value();
  ASSERT_EQ(expected.size(), 13u);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      const auto index = IndexReader::open_bytes(as_bytes(bad), "index");
      if (!index.ok()) continue;
      read_everything(**index);
      const auto got = answer(**index);
      if (!got.ok()) continue;
      EXPECT_EQ(*got, expected) << i;
    }
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(IndexReader::open_bytes(as_bytes(good).first(size), "index").ok()) << size;
  }
}

}  // namespace
}  // namespace tarsier::tsdb
