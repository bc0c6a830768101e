// The small files and names of a block: ULID, meta.json, tombstones.

#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/block/block_meta.h"
#include "tsdb/block/tombstones.h"
#include "tsdb/block/ulid.h"

namespace tarsier::tsdb {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

TEST(Ulid, TextAndValueAreTheSameThing) {
  std::array<std::byte, 10> entropy;
  entropy.fill(std::byte{0xAB});
  const Ulid ulid = make_ulid(Timestamp{1'511'366'400'000}, entropy);
  EXPECT_EQ(ulid.created().ms, 1'511'366'400'000);
  EXPECT_EQ(ulid.to_string().size(), 26u);
  EXPECT_EQ(parse_ulid(ulid.to_string()), ulid);
  // 48 bits of time are the first ten digits.
  EXPECT_EQ(make_ulid(Timestamp{0}, entropy).to_string().substr(0, 10), "0000000000");
  EXPECT_EQ(parse_ulid("01BZJ9WJQPWHGNC2W4J9TA62KC")->to_string(), "01BZJ9WJQPWHGNC2W4J9TA62KC");
  EXPECT_LT(*parse_ulid("01BZJ9WJQPWHGNC2W4J9TA62KC"), *parse_ulid("01BZJ9WJQQ0000000000000000"));
}

TEST(Ulid, ParsingIsStrict) {
  EXPECT_TRUE(parse_ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
  for (const char* bad : {"", "01BZJ9WJQPWHGNC2W4J9TA62K", "01BZJ9WJQPWHGNC2W4J9TA62KCC",
                          "81BZJ9WJQPWHGNC2W4J9TA62KC", "01bzj9wjqpwhgnc2w4j9ta62kc",
                          "01BZJ9WJQPWHGNC2W4J9TA62KI", "01BZJ9WJQPWHGNC2W4J9TA62K-"}) {
    EXPECT_FALSE(parse_ulid(bad)) << bad;
  }
}

constexpr const char* kMetaText = R"({
	"ulid": "01BZJ9WJQPWHGNC2W4J9TA62KC",
	"minTime": 1511366400001,
	"maxTime": 1511373600000,
	"stats": {
		"numSamples": 12,
		"numFloatSamples": 12,
		"numSeries": 3,
		"numChunks": 4
	},
	"compaction": {
		"level": 2,
		"sources": [
			"01BZJ9WJQPWHGNC2W4J9TA62KC",
			"01BZJ9WJQQ0000000000000000"
		],
		"parents": [
			{
				"ulid": "01BZJ9WJQQ0000000000000000",
				"minTime": -1,
				"maxTime": 5
			}
		],
		"hints": [
			"from-out-of-order"
		]
	},
	"version": 1
})";

TEST(BlockMeta, IsWrittenAsItIsRead) {
  const BlockMeta meta = parse_block_meta(kMetaText).value();
  EXPECT_EQ(meta.min_time.ms, 1511366400001);
  EXPECT_EQ(meta.sample_count, 12u);
  EXPECT_EQ(meta.compaction_level, 2);
  ASSERT_EQ(meta.parents.size(), 1u);
  EXPECT_EQ(meta.parents[0].min_time.ms, -1);
  EXPECT_FALSE(meta.is_complete());
  EXPECT_EQ(format_block_meta(meta), kMetaText);
  BlockMeta empty;
  EXPECT_EQ(parse_block_meta(format_block_meta(empty)).value(), empty);
}

TEST(BlockMeta, IsStrictAboutTypesAndBlindToUnknownFields) {
  const auto meta = [](const std::string& more) {
    return parse_block_meta(R"({"ulid":"01BZJ9WJQPWHGNC2W4J9TA62KC","minTime":1,"maxTime":2)" +
                            more + "}");
  };
  EXPECT_TRUE(meta(R"(,"version":1)").ok());
  EXPECT_TRUE(meta(R"(,"version":1,"thanos":{"labels":{}},"compaction":{"sources":null})").ok());
  for (const char* bad :
       {"", R"(,"version":2)", R"(,"version":"1")", R"(,"version":1,"stats":[])",
        R"(,"version":1,"stats":{"numSeries":-1})", R"(,"version":1,"stats":{"numSeries":1.5})",
        R"(,"version":1,"compaction":{"sources":["x"]})",
        R"(,"version":1,"compaction":{"sources":{}})",
        R"(,"version":1,"compaction":{"deletable":1})",
        R"(,"version":1,"compaction":{"parents":[{}]})", R"(,"version":1,"maxTime":0)"}) {
    EXPECT_EQ(meta(bad).status().code(), Code::kInvalid) << bad;
  }
}

TEST(Tombstones, HaveTheBytesOfTheFormat) {
  Tombstones tombstones;
  EXPECT_EQ(tombstones.encode(), from_hex("0130ba300100000000"));
  tombstones.add(3, {Timestamp{1000}, Timestamp{2000}});
  EXPECT_EQ(tombstones.encode(), from_hex("0130ba300103d00fa01f9b875938"));
  const Tombstones read = Tombstones::decode(as_bytes(tombstones.encode())).value();
  ASSERT_EQ(read.ranges(3).size(), 1u);
  EXPECT_EQ(read.ranges(3)[0], (TimeRange{Timestamp{1000}, Timestamp{2000}}));
  EXPECT_TRUE(read.ranges(4).empty());
}

TEST(Tombstones, RangesThatTouchAreMerged) {
  Tombstones tombstones;
  const auto add = [&](std::int64_t min, std::int64_t max) {
    tombstones.add(1, {Timestamp{min}, Timestamp{max}});
  };
  add(10, 20);
  add(40, 50);
  add(22, 30);
  EXPECT_EQ(tombstones.range_count(), 3u);
  add(21, 21);
  EXPECT_EQ(tombstones.range_count(), 2u);
  EXPECT_EQ(tombstones.ranges(1)[0], (TimeRange{Timestamp{10}, Timestamp{30}}));
  add(0, 100);
  EXPECT_EQ(tombstones.range_count(), 1u);
  tombstones.add(2, TimeRange{});
  tombstones.add(2, {Timestamp{5}, kMaxTimestamp});
  tombstones.add(2, {kMinTimestamp, Timestamp{5}});
  EXPECT_EQ(tombstones.ranges(2).size(), 1u);
}

TEST(Tombstones, DamageIsAnError) {
  Tombstones tombstones;
  tombstones.add(3, {Timestamp{1000}, Timestamp{2000}});
  tombstones.add(700, {Timestamp{-5}, kMaxTimestamp});
  const std::string good = tombstones.encode();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    EXPECT_EQ(Tombstones::decode(as_bytes(bad)).status().code(), Code::kCorruption) << i;
    EXPECT_FALSE(Tombstones::decode(as_bytes(good.substr(0, i))).ok()) << i;
  }
}

TEST(Tombstones, AMissingFileMeansNone) {
  testing::TemporaryDirectory directory;
  const auto files = make_posix_file_system();
  EXPECT_TRUE(read_tombstones(*files, directory.path()).value().empty());
}

TEST(Tombstones, DeletedSamplesAreRemovedFromWhereTheyWereAppended) {
  SampleColumns columns;
  for (std::int64_t t = 0; t < 10; ++t) columns.push_back(Timestamp{t}, static_cast<double>(t));
  const std::vector<TimeRange> deleted = {{Timestamp{0}, Timestamp{3}},
                                          {Timestamp{6}, Timestamp{7}}};
  remove_deleted(deleted, 2, columns);
  EXPECT_EQ(columns.times_ms, (std::vector<std::int64_t>{0, 1, 4, 5, 8, 9}));
  EXPECT_EQ(columns.values, (std::vector<double>{0, 1, 4, 5, 8, 9}));
}

}  // namespace
}  // namespace tarsier::tsdb
