// One bit flipped or one file cut short in head chunk files and in the write-behind log, of a head
// with floats and native histograms, in order and late: named, isolated, everything else served,
// nothing else ever served.

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
#include "tsdb/offline.h"
#include "tsdb/verification.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

/// By series and time: the value's bits, of a histogram those of its sum.
using Contents = std::map<std::string, std::map<std::int64_t, std::uint64_t>>;

class LateDamageTest : public ::testing::Test {
 protected:
  LateDamageTest() {
    options_.block_range = seconds(100);
    options_.block_range_max = seconds(100);
    options_.wal_segment_bytes = 32 << 10;
    options_.wal_compression = WalCompression::kNone;
    options_.retention = Duration{0};
    options_.head_image_interval = Duration{0};  // It would make up for damage to the log.
    options_.out_of_order_time_window = seconds(100);
    for (int life = 0; life < 2; ++life) {
      auto db = Db::open(*whole_, "data", options_, log_, nullptr).value();
      const std::int64_t begin = 110'000 + 40'000 * life;
      for (std::int64_t t = begin; t < begin + 40'000; t += 200) put(*db, t, false);
      for (std::int64_t i = 0; i < 90; ++i) put(*db, begin + 101 + 200 * (i * 37 % 90), true);
      db->interrupt_sync();
      db->sync_due();
      if (life == 0) {
        EXPECT_TRUE(db->close().ok());
      }
    }
  }

  void put(Db& db, std::int64_t t, bool is_late) {
    const auto appender = db.appender();
    for (int i = 0; i < 4; ++i) {
      const std::string name = "m" + std::to_string(i);
      const auto ref = appender->resolve({{"__name__", name}}).value();
      const auto n = static_cast<std::uint64_t>(t / 100);
      const double v = static_cast<double>(t) / 7 + i;
      AppendOutcome outcome;
      if (i < 2) {
        outcome = appender->append(ref, {Timestamp{t}, v});
      } else {
        IntegerHistogram h;
        h.sum = v;
        h.layout.positive_spans = {{i, 2}};
        h.positive_deltas = {static_cast<std::int64_t>(n), 1};
        h.count = 2 * n + 1;
        outcome = i == 2 ? appender->append_histogram(ref, Timestamp{t}, h)
                         : appender->append_float_histogram(ref, Timestamp{t}, to_float(h));
      }
      ASSERT_EQ(outcome, AppendOutcome::kAppended);
      (is_late ? late_ : in_order_)[name][t] = std::bit_cast<std::uint64_t>(v);
    }
    ASSERT_TRUE(appender->commit().ok());
  }

  static Contents read_all(Querier& querier) {
    Contents out;
    const auto set = querier.select({}, {}, nullptr).value();
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns floats;
      HistogramColumns histograms;
      EXPECT_TRUE(set->read_mixed(i, {}, floats, histograms).ok());
      auto& samples = out[std::string(set->label(i, "__name__"))];
      for (std::size_t k = 0; k < floats.size(); ++k) {
        samples[floats.times_ms[k]] = std::bit_cast<std::uint64_t>(floats.values[k]);
      }
      for (std::size_t k = 0; k < histograms.size(); ++k) {
        samples[histograms.times_ms[k]] = std::bit_cast<std::uint64_t>(histograms.sums[k]);
      }
    }
    return out;
  }

  /// All that was in order is there, and nothing but what was stored; says how much late is not.
  std::size_t check(Contents found) {
    std::size_t missing = 0;
    for (const auto& [name, samples] : in_order_) {
      for (const auto& [t, bits] : samples) {
        const auto at = found[name].find(t);
        EXPECT_TRUE(at != found[name].end() && at->second == bits) << name << " at " << t;
        found[name].erase(t);
      }
      for (const auto& [t, bits] : late_[name]) {
        const auto at = found[name].find(t);
        if (at == found[name].end()) {
          ++missing;
          continue;
        }
        EXPECT_EQ(at->second, bits) << name << " at " << t;
        found[name].erase(at);
      }
      EXPECT_TRUE(found[name].empty()) << name << " has what nobody stored";
    }
    return missing;
  }

  /// Damages the file `count` times. `may_lose` says whether late samples may go.
  void damage(const std::string& path, int count, bool may_lose) {
    std::mt19937_64 random(std::hash<std::string>()(path));
    const std::string before = read_file(*whole_, path, 1 << 30).value();
    ASSERT_FALSE(before.empty());
    int undetected = 0;
    std::size_t missing = 0;
    for (int n = 0; n < count; ++n) {
      std::string after = before;
      const std::size_t at = random() % before.size();
      const bool truncates = n % 3 == 2;
      if (truncates) {
        after.resize(at);
      } else {
        after[at] = static_cast<char>(after[at] ^ (1 << random() % 8));
      }
      SCOPED_TRACE(path + (truncates ? " cut at " : " flipped at ") + std::to_string(at));
      const auto files = whole_->after_process_crash();
      ASSERT_TRUE(
          files->open_writable(path, OpenMode::kTruncate).value()->append(as_bytes(std::string_view(after))).ok());
      bool is_named = false;
      ASSERT_TRUE(verify_database(*files, "data", [&](const Finding& finding) {
                    is_named |= finding.path.find(path) != std::string::npos;
                  }).ok());
      if (!is_named) ++undetected;
      EXPECT_TRUE(is_named || truncates || at < 8) << at;
      auto db = Db::open(*files, "data", options_, log_, nullptr);
      ASSERT_TRUE(db.ok()) << db.status().message();
      const std::size_t lost = check(read_all(*(*db)->querier({}).value()));
      EXPECT_TRUE(may_lose || lost == 0) << lost << " late samples are gone";
      missing += lost;
      // What a start repaired stays so.
      ASSERT_TRUE((*db)->close().ok());
      db->reset();
      auto again = Db::open(*files, "data", options_, log_, nullptr).value();
      EXPECT_EQ(check(read_all(*again->querier({}).value())), lost);
    }
    std::printf("%s: %d damages, %d without a finding, %zu late samples gone\n", path.c_str(),
                count, undetected, missing);
  }

  std::vector<std::string> files_in(const std::string& directory) {
    std::vector<std::string> paths;
    const auto entries = whole_->list(directory).value();
    for (const DirectoryEntry& entry : entries) {
      const std::string path = directory + "/" + entry.name;
      if (!entry.is_directory && !read_file(*whole_, path, 1 << 30).value().empty())
        paths.push_back(path);
    }
    return paths;
  }

  Options options_;
  testing::CapturingLogger log_;
  std::unique_ptr<FaultyFileSystem> whole_ = std::make_unique<FaultyFileSystem>();
  Contents in_order_;
  Contents late_;
};

TEST_F(LateDamageTest, InHeadChunkFilesCostsNothing) {
  const auto paths = files_in("data/chunks_head");
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) damage(path, 30, false);
}

TEST_F(LateDamageTest, InTheWriteBehindLogCostsLateSamplesAtMost) {
  const auto paths = files_in("data/wbl");
  ASSERT_GE(paths.size(), 2u);
  for (const std::string& path : paths) damage(path, 12, true);
}

TEST_F(LateDamageTest, LookingFromOutsideSeesLateSamples) {
  const auto files = whole_->after_process_crash();
  const auto db = OfflineDb::open(*files, "data", OfflineDb::Scope::kBlocksAndLog, log_).value();
  EXPECT_EQ(check(read_all(*db->querier({}).value())), 0u);
}

}  // namespace
}  // namespace tarsier::tsdb
