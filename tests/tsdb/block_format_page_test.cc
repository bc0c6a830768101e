// The worked examples of FORMAT.md are the files of one small block.

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

const std::string kPage = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";
const std::string kDirectory = "data/01HF7YAT00000000000000000A";
constexpr std::int64_t kBegin = 1'700'000'000'000;

std::string example_json() {
  std::ifstream page(kPage);
  std::string json;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (inside && line == "```") break;
    if (inside) json += (json.empty() ? "" : "\n") + line;
    if (line == "```json") inside = true;
  }
  return json;
}

std::string contents(FileSystem& files, const std::string& name) {
  return read_file(files, kDirectory + "/" + name, 1 << 20).value();
}

TEST(BlockFormatPage, ShowsWhatIsWritten) {
  testing::FaultyFileSystem files;
  BlockMeta meta;
  meta.ulid = parse_ulid("01HF7YAT00000000000000000A").value();
  meta.sources = {meta.ulid};
  meta.min_time = Timestamp{kBegin};
  meta.max_time = Timestamp{kBegin + 6'400'000};
  const Labels a{{"__name__", "up"}, {"job", "a"}};
  const Labels b{{"__name__", "up"}, {"job", "b"}};
  SymbolSet symbols;
  symbols.add(a);
  symbols.add(b);
  auto writer =
      BlockWriter::create(files, "data", meta, std::move(symbols), std::uint64_t{512} << 20)
          .value();
  XorEncoder first;
  first.append({Timestamp{kBegin}, 1});
  first.append({Timestamp{kBegin + 15'000}, 1});
  XorEncoder second;
  second.append({Timestamp{kBegin + 30'000}, 0});
  XorEncoder third;
  third.append({Timestamp{kBegin}, 1});
  const auto chunk = [](std::int64_t min, std::int64_t max, const XorEncoder& encoder) {
    return EncodedChunk{
        Timestamp{kBegin + min}, Timestamp{kBegin + max}, {ChunkEncoding::kXor, encoder.bytes()}};
  };
  const std::vector<EncodedChunk> of_a = {chunk(0, 15'000, first), chunk(30'000, 30'000, second)};
  const std::vector<EncodedChunk> of_b = {chunk(0, 0, third)};
  ASSERT_TRUE(writer->add_series(a, of_a).ok());
  ASSERT_TRUE(writer->add_series(b, of_b).ok());
  ASSERT_TRUE(writer->finish().ok());

  EXPECT_EQ(contents(files, "meta.json"), example_json());
  EXPECT_EQ(contents(files, "chunks/000001"), testing::format_example(kPage, "Chunk segment file"));
  EXPECT_EQ(contents(files, "index"), testing::format_example(kPage, "Index"));
  EXPECT_EQ(contents(files, "tombstones"), Tombstones().encode());
}

TEST(BlockFormatPage, ShowsABlockThatReadsAsItSays) {
  testing::FaultyFileSystem files;
  ASSERT_TRUE(files.create_directories(kDirectory + "/chunks").ok());
  const auto put = [&](const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(write_file_atomically(files, kDirectory + "/" + name, bytes).ok());
  };
  put("meta.json", example_json());
  put("chunks/000001", testing::format_example(kPage, "Chunk segment file"));
  put("index", testing::format_example(kPage, "Index"));
  const auto block = Block::open(files, kDirectory);
  ASSERT_TRUE(block.ok()) << block.status().message();
  const auto querier = make_block_querier(*block, TimeRange{});
  const auto set = querier->select({}, {}, nullptr).value();
  ASSERT_EQ(set->size(), 2u);
  EXPECT_EQ(set->labels(0), (Labels{{"__name__", "up"}, {"job", "a"}}));
  EXPECT_EQ(set->labels(1), (Labels{{"__name__", "up"}, {"job", "b"}}));
  SampleColumns columns;
  ASSERT_TRUE(set->read(0, TimeRange{}, columns).ok());
  EXPECT_EQ(columns.times_ms, (std::vector{kBegin, kBegin + 15'000, kBegin + 30'000}));
  EXPECT_EQ(columns.values, (std::vector{1.0, 1.0, 0.0}));
}

TEST(BlockFormatPage, ShowsATombstone) {
  const std::string file = testing::format_example(kPage, "Tombstones");
  const Tombstones tombstones = Tombstones::decode(as_bytes(file)).value();
  ASSERT_EQ(tombstones.ranges(3).size(), 1u);
  EXPECT_EQ(tombstones.ranges(3)[0], (TimeRange{Timestamp{1000}, Timestamp{2000}}));
  EXPECT_EQ(tombstones.encode(), file);
}

}  // namespace
}  // namespace tarsier::tsdb
