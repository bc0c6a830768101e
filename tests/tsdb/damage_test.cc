// One bit flipped or one file cut short, in every kind of file of a data directory: the damage is
// found and named, what it does not touch is served as it was, nothing else is ever served, and
// repair makes the directory sound.

#include <bit>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"
#include "tsdb/verification.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

using Contents = std::map<std::string, std::map<std::int64_t, std::uint64_t>>;

constexpr std::int64_t kRangeMs = 10'000;

Options test_options() {
  Options options;
  options.block_range = milliseconds(kRangeMs);
  options.block_range_max = milliseconds(kRangeMs);
  options.wal_segment_bytes = 32 << 10;
  options.wal_compression = WalCompression::kNone;
  options.retention = Duration{0};
  options.head_image_interval = Duration{0};  // It would make up for damage to the log.
  return options;
}

/// A database that has lived: blocks, one with tombstones, a checkpoint, several log segments.
class DamageTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    whole_ = std::make_unique<FaultyFileSystem>();
    NullLogger log;
    auto db = Db::open(*whole_, "data", test_options(), log, nullptr).value();
    for (std::int64_t t = 0; t < 90'000; t += 500) {
      const auto appender = db->appender();
      for (int i = 0; i < 8; ++i) {
        const auto ref =
            appender->resolve({{"__name__", "m" + std::to_string(i)}, {"job", "j"}}).value();
        const double v = static_cast<double>(t) / 7 + i;
        ASSERT_EQ(appender->append(ref, {Timestamp{t}, v}), AppendOutcome::kAppended);
        model_["m" + std::to_string(i)][t] = std::bit_cast<std::uint64_t>(v);
      }
      ASSERT_TRUE(appender->commit().ok());
      if (t % 5000 != 0) continue;
      db->interrupt_sync();
      db->sync_due();
      while (db->run_due(Timestamp{t}) <= Timestamp{t}) {
      }
    }
    const TimeRange gone{Timestamp{12'000}, Timestamp{14'000}};
    ASSERT_TRUE(db->delete_series({Matcher::equal("__name__", "m1")}, gone).ok());
    std::erase_if(model_["m1"], [&](const auto& s) { return gone.contains(Timestamp{s.first}); });
    for (const BlockSummary& block : db->blocks()) blocks_.push_back(block);
    ASSERT_GT(blocks_.size(), 5u);
    ASSERT_TRUE(db->close().ok());
    db.reset();
  }
  static void TearDownTestSuite() { whole_.reset(); }

  static std::string contents_of(FaultyFileSystem& files, const std::string& path) {
    return read_file(files, path, 1 << 30).value();
  }
  static void put(FaultyFileSystem& files, const std::string& path, std::string_view contents) {
    const auto file = files.open_writable(path, OpenMode::kTruncate).value();
    ASSERT_TRUE(file->append(std::as_bytes(std::span(contents))).ok());
  }

  static std::vector<std::string> findings_of(FaultyFileSystem& files) {
    std::vector<std::string> found;
    const auto totals = verify_database(files, "data", [&](const Finding& finding) {
      found.push_back(finding.path + ": " + finding.what);
    });
    EXPECT_TRUE(totals.ok()) << totals.status().message();
    return found;
  }

  /// What is served; series that end in an error have what came before, and are noted.
  static Contents read_all(Db& db, std::vector<std::string>& errors) {
    Contents out;
    const auto querier = db.querier({}).value();
    const auto set = querier->select({}, {}, nullptr);
    if (!set.ok()) {
      errors.push_back(set.status().message());
      return out;
    }
    for (std::size_t i = 0; i < (*set)->size(); ++i) {
      SampleColumns columns;
      const Status status = (*set)->read(i, {}, columns);
      if (!status.ok()) errors.push_back(status.message());
      auto& samples = out[std::string((*set)->label(i, "__name__"))];
      for (std::size_t k = 0; k < columns.size(); ++k) {
        samples[columns.times_ms[k]] = std::bit_cast<std::uint64_t>(columns.values[k]);
      }
    }
    return out;
  }

  /// Everything served was stored like this; what `must_have` says is there.
  static void check(const Contents& found, bool may_lack_series, TimeRange must_have) {
    for (const auto& [name, samples] : found) {
      ASSERT_TRUE(model_.contains(name)) << name;
      for (const auto& [t, bits] : samples) {
        const auto at = model_[name].find(t);
        // What was deleted may be back with the tombstones gone, but only as it was.
        if (at == model_[name].end()) {
          ASSERT_EQ(name, "m1");
          ASSERT_EQ(bits, std::bit_cast<std::uint64_t>(static_cast<double>(t) / 7 + 1));
          continue;
        }
        ASSERT_EQ(at->second, bits) << name << " at " << t;
      }
    }
    if (may_lack_series) return;
    for (const auto& [name, samples] : model_) {
      for (const auto& [t, bits] : samples) {
        if (!must_have.contains(Timestamp{t})) continue;
        ASSERT_TRUE(found.contains(name) && found.at(name).contains(t)) << name << " at " << t;
      }
    }
  }

  /// Damages `path` in some way, `count` times; `is_checked` says whether every byte is covered by
  /// a checksum. `intact` is the time that must be served whole.
  void damage(const std::string& path, const std::string& unit, int count, bool is_checked,
              TimeRange intact) {
    std::mt19937_64 random(std::hash<std::string>()(path));
    const std::string before = contents_of(*whole_, path);
    ASSERT_FALSE(before.empty()) << path;
    int undetected = 0;
    for (int n = 0; n < count; ++n) {
      std::string after = before;
      const std::size_t at = random() % before.size();
      const bool truncates = n % 3 == 2;
      if (truncates) {
        after.resize(at);
      } else {
        after[at] = static_cast<char>(after[at] ^ (1 << random() % 8));
      }
      SCOPED_TRACE(path + (truncates ? " cut at " : " flipped at ") + std::to_string(at) + ", " +
                   std::to_string(n));
      const auto files = whole_->after_process_crash();
      put(*files, path, after);
      const std::vector<std::string> findings = findings_of(*files);
      bool is_named = false;
      for (const std::string& finding : findings) {
        is_named |= finding.find(unit) != std::string::npos;
      }
      EXPECT_EQ(is_named, !findings.empty()) << findings.front();
      if (findings.empty()) {
        ++undetected;
        EXPECT_TRUE(!is_checked || truncates);
      }
      {
        testing::CapturingLogger log;
        const auto survivor = files->after_process_crash();
        auto db = Db::open(*survivor, "data", test_options(), log, nullptr);
        ASSERT_TRUE(db.ok()) << db.status().message();
        std::vector<std::string> errors;
        const Contents found = read_all(**db, errors);
        ASSERT_NO_FATAL_FAILURE(check(found, !errors.empty(), intact));
        for (const std::string& error : errors) {
          EXPECT_NE(error.find(unit), std::string::npos) << error;
        }
      }
      // A version nobody knows is left alone, also by repair.
      if (!findings.empty() && findings.front().find("unknown version") != std::string::npos)
        continue;
      NullLogger log;
      ASSERT_TRUE(repair_database(*files, "data", Timestamp{1}, log).ok());
      const std::vector<std::string> left = findings_of(*files);
      EXPECT_TRUE(left.empty()) << left.front();
      auto db = Db::open(*files, "data", test_options(), log, nullptr);
      ASSERT_TRUE(db.ok()) << db.status().message();
      std::vector<std::string> errors;
      const Contents found = read_all(**db, errors);
      EXPECT_TRUE(errors.empty()) << errors.front();
      ASSERT_NO_FATAL_FAILURE(check(found, false, intact));
    }
    std::printf("%s: %d damages, %d without a finding\n", path.c_str(), count, undetected);
  }

  static std::string block_path(std::size_t i, const std::string& file) {
    return "data/" + blocks_[i].ulid + "/" + file;
  }
  static std::vector<std::string> log_files(const std::string& directory) {
    std::vector<std::string> paths;
    const auto entries = whole_->list(directory).value();
    for (const DirectoryEntry& entry : entries) {
      const std::string path = directory + "/" + entry.name;
      if (!entry.is_directory && !contents_of(*whole_, path).empty()) paths.push_back(path);
    }
    return paths;
  }

  static std::unique_ptr<FaultyFileSystem> whole_;
  static Contents model_;
  static std::vector<BlockSummary> blocks_;
};
std::unique_ptr<FaultyFileSystem> DamageTest::whole_;
Contents DamageTest::model_;
std::vector<BlockSummary> DamageTest::blocks_;

TEST_F(DamageTest, ASoundDirectoryHasNoFindings) {
  EXPECT_EQ(findings_of(*whole_), std::vector<std::string>());
  const auto files = whole_->after_process_crash();
  NullLogger log;
  EXPECT_EQ(repair_database(*files, "data", Timestamp{1}, log).value(), 0u);
  auto db = Db::open(*files, "data", test_options(), log, nullptr).value();
  std::vector<std::string> errors;
  ASSERT_NO_FATAL_FAILURE(check(read_all(*db, errors), false, {}));
  EXPECT_TRUE(errors.empty());
}

// Blocks: what comes after the damaged one is not touched.

TEST_F(DamageTest, InAnIndex) {
  // Not every byte: padding between series, and the offsets of sections that nobody reads any more.
  damage(block_path(2, "index"), blocks_[2].ulid, 45, false, {blocks_[2].max_time, kMaxTimestamp});
}
TEST_F(DamageTest, InChunks) {
  damage(block_path(2, "chunks/000001"), blocks_[2].ulid, 45, false,
         {blocks_[2].max_time, kMaxTimestamp});
}
TEST_F(DamageTest, InTombstones) {
  const std::string tombstones = block_path(1, "tombstones");
  ASSERT_GT(contents_of(*whole_, tombstones).size(), 9u);
  damage(tombstones, blocks_[1].ulid, 30, true, {blocks_[1].max_time, kMaxTimestamp});
}
TEST_F(DamageTest, InMeta) {
  // It has no checksum: a flipped digit of a time may pass, and then only less is served.
  damage(block_path(0, "meta.json"), blocks_[0].ulid, 45, false,
         {Timestamp{90'000}, kMaxTimestamp});
}

// The log: what is in blocks is not touched.

TEST_F(DamageTest, InTheLog) {
  const TimeRange in_blocks{Timestamp{20'000}, blocks_.back().max_time - milliseconds(1)};
  for (const std::string& path : log_files("data/wal")) damage(path, path, 20, true, in_blocks);
}
TEST_F(DamageTest, InACheckpoint) {
  const TimeRange in_blocks{Timestamp{20'000}, blocks_.back().max_time - milliseconds(1)};
  bool has_checkpoint = false;
  const auto entries = whole_->list("data/wal").value();
  for (const DirectoryEntry& entry : entries) {
    if (!entry.is_directory) continue;
    has_checkpoint = true;
    for (const std::string& path : log_files("data/wal/" + entry.name)) {
      damage(path, path, 30, true, in_blocks);
    }
  }
  EXPECT_TRUE(has_checkpoint);
}

}  // namespace
}  // namespace tarsier::tsdb
