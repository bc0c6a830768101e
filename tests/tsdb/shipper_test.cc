// Blocks come to a bucket as a Thanos sidecar brings them, whole or not at all, however often it
// fails on the way.

#include "tsdb/shipping.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/json_reader.h"
#include "base/sha256.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/test_block.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/shipped_list.h"

namespace tarsier::tsdb {
namespace {

using testing::samples_between;
using testing::test_ulid;
using testing::write_block;

constexpr const char* kList = "data/thanos.shipper.json";

/// A bucket in memory that refuses from the n-th call on, and remembers the order of objects.
class MemoryBucket final : public Bucket {
 public:
  std::string description() const override { return "memory"; }
  Result<std::map<std::string, std::uint64_t>> list(const std::string& prefix) override {
    TRY(answer());
    std::map<std::string, std::uint64_t> found;
    for (const auto& [name, content] : objects) {
      if (name.starts_with(prefix)) found[name] = content.size();
    }
    return found;
  }
  Status put(const std::string& name, std::string_view content) override {
    TRY(answer());
    objects[name] = std::string(content);
    order.push_back(name);
    return {};
  }
  Status put_file(const std::string& name, const ReadableFile& file) override {
    std::string content(static_cast<std::size_t>(file.size()), '\0');
    TRY(file.read_at(0, std::as_writable_bytes(std::span(content))));
    return put(name, content);
  }
  Status answer() {
    if (calls_left == 0) return unavailable("the bucket is away");
    --calls_left;
    return {};
  }
  std::map<std::string, std::string> objects;
  std::vector<std::string> order;
  int calls_left = -1;
};

class ShipperTest : public ::testing::Test {
 protected:
  void write(int number) {
    const std::int64_t begin = number * 7'200'000;
    write_block(files_, "data", test_ulid(number),
                {{Labels{{"a", "1"}}, samples_between(begin, begin + 7'200'000, 15'000)},
                 {Labels{{"a", "2"}}, samples_between(begin, begin + 60'000, 15'000)}},
                {.segment_bytes_max = 700});
  }
  void make(std::string prefix = "", bool has_hashes = false) {
    shipper_ = std::make_unique<Shipper>(
        files_, ShipperOptions{"data", kList, std::move(prefix), has_hashes}, bucket_, log_);
    shipper_->set_labels({{"cluster", "eu"}, {"replica", "a"}});
  }
  std::vector<Ulid> listed() { return read_shipped_list(files_, kList).value(); }
  std::string file(int block, const std::string& path) {
    return read_file(files_, "data/" + test_ulid(block).to_string() + "/" + path, 1 << 20).value();
  }
  static std::string name(int block, const std::string& path) {
    return test_ulid(block).to_string() + "/" + path;
  }

  testing::FaultyFileSystem files_;
  testing::CapturingLogger log_;
  MemoryBucket bucket_;
  std::unique_ptr<Shipper> shipper_;
};

TEST_F(ShipperTest, ShipsOldestFirstAndMetaLast) {
  write(2);
  write(1);
  make();
  EXPECT_EQ(shipper_->run_due(Timestamp{0}), Timestamp{10'000});
  EXPECT_EQ(listed(), (std::vector<Ulid>{test_ulid(1), test_ulid(2)}));
  EXPECT_EQ(bucket_.order.front(), name(1, "chunks/000001"));
  EXPECT_EQ(bucket_.order.back(), name(2, "meta.json"));
  const auto meta = std::find(bucket_.order.begin(), bucket_.order.end(), name(1, "meta.json"));
  EXPECT_EQ(*(meta - 1), name(1, "index"));
  EXPECT_EQ(bucket_.objects[name(1, "index")], file(1, "index"));
  EXPECT_EQ(bucket_.objects[name(1, "chunks/000002")], file(1, "chunks/000002"));
  EXPECT_FALSE(bucket_.objects.contains(name(1, "tombstones")));
  const std::size_t puts = bucket_.order.size();
  EXPECT_EQ(shipper_->run_due(Timestamp{9'999}), Timestamp{10'000});
  EXPECT_EQ(shipper_->run_due(Timestamp{10'000}), Timestamp{20'000});
  EXPECT_EQ(bucket_.order.size(), puts);
  const ShipperStatus status = shipper_->status();
  EXPECT_EQ(status.uploaded.size(), 2u);
  EXPECT_EQ(status.uploaded_blocks, 2u);
  EXPECT_TRUE(status.waiting.empty());
  EXPECT_EQ(status.last_error, "");
}

TEST_F(ShipperTest, SaysInMetaWhatThanosWantsToKnow) {
  write(1);
  make("blocks/", true);
  shipper_->run_due(Timestamp{1'700'000'000'000});
  const std::string text = bucket_.objects["blocks/" + name(1, "meta.json")];
  EXPECT_EQ(parse_block_meta(text).value(),
            read_block_meta(files_, "data/" + test_ulid(1).to_string()).value());
  const JsonValue json = parse_json(text).value();
  const JsonValue& thanos = *json.find("thanos");
  EXPECT_EQ(*thanos.find("version")->as_int64(), 1);
  EXPECT_EQ(*thanos.find("labels")->find("cluster")->as_string(), "eu");
  EXPECT_EQ(*thanos.find("downsample")->find("resolution")->as_int64(), 0);
  EXPECT_EQ(*thanos.find("source")->as_string(), "sidecar");
  EXPECT_EQ(*thanos.find("upload_time")->as_string(), "2023-11-14T22:13:20Z");
  const auto& files = thanos.find("files")->items();
  ASSERT_GE(files.size(), 4u);
  EXPECT_EQ(thanos.find("segment_files")->items().size(), files.size() - 2);
  EXPECT_EQ(*thanos.find("segment_files")->items()[0].as_string(), "000001");
  EXPECT_EQ(*files[0].find("rel_path")->as_string(), "chunks/000001");
  EXPECT_EQ(*files[0].find("size_bytes")->as_uint64(), file(1, "chunks/000001").size());
  EXPECT_EQ(*files[0].find("hash")->find("value")->as_string(),
            hex_text(sha256(as_bytes(file(1, "chunks/000001")))));
  EXPECT_EQ(*files.back().find("rel_path")->as_string(), "meta.json");
  EXPECT_EQ(files.back().find("size_bytes"), nullptr);
  // A chunk of 120 samples with its frame, alone in its segment, and the entry that names them.
  const std::uint64_t chunk = *thanos.find("index_stats")->find("chunk_max_size")->as_uint64();
  EXPECT_GT(chunk, 100u);
  EXPECT_LE(chunk, 700u);
  const std::uint64_t series = *thanos.find("index_stats")->find("series_max_size")->as_uint64();
  EXPECT_GT(series, 20u);
  EXPECT_LT(series, 100u);
}

TEST_F(ShipperTest, GoesOnWhereItFailed) {
  write(1);
  write(2);
  make();
  Timestamp now{0};
  for (int calls = 0; calls < 60; ++calls) {  // Every call of the bucket fails once.
    SCOPED_TRACE(calls);
    bucket_.objects.clear();
    bucket_.order.clear();
    (void)files_.remove_file(kList);
    bucket_.calls_left = calls;
    make();
    shipper_->run_due(now);
    const bool failed = shipper_->status().last_error != "";
    for (const Ulid& ulid : listed()) {
      EXPECT_TRUE(bucket_.objects.contains(ulid.to_string() + "/meta.json"));
    }
    bucket_.calls_left = -1;
    const Timestamp next = shipper_->run_due(now + seconds(30));
    EXPECT_EQ(next, now + seconds(40));
    EXPECT_EQ(listed().size(), 2u);
    // No object was sent twice.
    std::vector<std::string> names = bucket_.order;
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
    EXPECT_EQ(shipper_->status().last_error, "");
    if (!failed) return;
  }
  FAIL() << "it never went through";
}

TEST_F(ShipperTest, AsksEverMoreSeldomWhileTheBucketIsAway) {
  write(1);
  make();
  bucket_.calls_left = 0;
  Timestamp now{0};
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 6; ++i) {
    const Timestamp next = shipper_->run_due(now);
    waits.push_back((next - now).ms / 1000);
    now = next;
  }
  EXPECT_EQ(waits, (std::vector<std::int64_t>{10, 20, 40, 80, 160, 300}));
  EXPECT_TRUE(listed().empty()) << "the list says that somebody ships";
  EXPECT_EQ(shipper_->status().waiting.size(), 1u);
  EXPECT_NE(shipper_->status().last_error.find("the bucket is away"), std::string::npos);
}

TEST_F(ShipperTest, KnowsTheBucketWhenItsListIsLost) {
  write(1);
  make();
  shipper_->run_due(Timestamp{0});
  const std::size_t puts = bucket_.order.size();
  ASSERT_TRUE(files_.remove_file(kList).ok());
  shipper_->run_due(Timestamp{30'000});
  EXPECT_EQ(bucket_.order.size(), puts);
  EXPECT_EQ(listed().size(), 1u);
}

TEST_F(ShipperTest, ForgetsBlocksThatAreGone) {
  write(1);
  write(2);
  make();
  shipper_->run_due(Timestamp{0});
  ASSERT_TRUE(files_.remove_all("data/" + test_ulid(1).to_string()).ok());
  shipper_->run_due(Timestamp{10'000});
  EXPECT_EQ(listed(), std::vector<Ulid>{test_ulid(2)});
}

TEST_F(ShipperTest, OneDamagedBlockDoesNotHoldUpTheOthers) {
  write(1);
  write(2);
  ASSERT_TRUE(
      write_file_atomically(files_, "data/" + test_ulid(1).to_string() + "/index", "?").ok());
  make();
  shipper_->run_due(Timestamp{0});
  EXPECT_EQ(listed(), std::vector<Ulid>{test_ulid(2)});
  EXPECT_NE(shipper_->status().last_error.find(test_ulid(1).to_string()), std::string::npos);
}

TEST_F(ShipperTest, ShipsNothingWithoutExternalLabels) {
  write(1);
  make();
  shipper_->set_labels({});
  shipper_->run_due(Timestamp{0});
  EXPECT_TRUE(bucket_.objects.empty());
  EXPECT_NE(shipper_->status().last_error.find("no external labels"), std::string::npos);
}

TEST_F(ShipperTest, ADirectoryIsABucket) {
  write(1);
  const auto bucket = make_directory_bucket(files_, "bucket/");
  Shipper shipper(files_, {"data", kList, "", false}, *bucket, log_);
  shipper.set_labels({{"cluster", "eu"}});
  shipper.run_due(Timestamp{0});
  EXPECT_EQ(listed().size(), 1u);
  const auto objects = bucket->list(test_ulid(1).to_string() + "/").value();
  EXPECT_EQ(objects.at(name(1, "index")), file(1, "index").size());
  EXPECT_TRUE(Block::open(files_, "bucket/" + test_ulid(1).to_string()).ok());
  EXPECT_TRUE(bucket->list("nothing/").value().empty());
}

}  // namespace
}  // namespace tarsier::tsdb
