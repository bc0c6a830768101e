// Cuts the power, or kills the process, at a random operation of a random life of a database
// (appends of floats and native histograms, in order and late, deletions, cuts, compactions,
// snapshots) on a disk that now and then refuses a write, a sync or a read or is full, as often as
// there are seeds, and compares what the next start finds with a model. TARSIER_CRASH_SEEDS says
// how many seeds, TARSIER_CRASH_FIRST_SEED which is first: a seed that fails does so again.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/db.h"

namespace tarsier::tsdb {
namespace {

using testing::FaultyFileSystem;

constexpr std::int64_t kRangeMs = 1000;

/// One commit and what became of it. One with both kinds of samples, in order and late, is two.
struct Commit {
  std::map<std::string, Sample> samples;  ///< By series; of a histogram its sum.
  enum Kind : unsigned char { kFloat, kIntegerHistogram, kFloatHistogram };
  bool is_late = false;  ///< The samples went in out of order.
  bool is_acknowledged = false;
  std::set<std::string> deleted;   ///< Series whose sample is gone for good.
  std::set<std::string> doubtful;  ///< Those deleted by a call that nobody acknowledged.
};

/// All series by name, with their samples by time.
using Contents = std::map<std::string, std::map<std::int64_t, std::uint64_t>>;

struct Totals {
  std::uint64_t commits = 0;
  std::uint64_t late_commits = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t survived = 0;
  std::uint64_t troubles = 0;
  std::uint64_t deletions = 0;
  std::uint64_t acknowledged_deletions = 0;
  std::uint64_t crashes = 0;
  std::uint64_t crashes_in_recovery = 0;
  std::uint64_t blocks = 0;
  std::uint64_t compacted_blocks = 0;
  std::uint64_t images = 0;  ///< Starts from an image of the head.
  std::uint64_t departures = 0;  ///< Rounds in which series that ended left memory.
};

/// Counts what the totals want to know.
class CountingLogger final : public Logger {
 public:
  explicit CountingLogger(Totals& totals) : Logger(LogLevel::kInfo), totals_(totals) {}

 private:
  void write(LogLevel, std::string_view line) override {
    if (line.find("Head image loaded") != line.npos) ++totals_.images;
    if (line.find("Series that ended left memory") != line.npos) ++totals_.departures;
  }
  Totals& totals_;
};

/// One database on one disk through several lives.
class Life final {
 public:
  /// `pool` may be null.
  Life(unsigned seed, Totals& totals, ThreadPool* pool)
      : random_(seed), totals_(totals), pool_(pool) {
    options_.block_range = milliseconds(kRangeMs);
    options_.block_range_max = milliseconds(9 * kRangeMs);  // Blocks of blocks, twice.
    options_.wal_segment_bytes = 32 << 10;
    options_.retention = Duration{0};
    if (seed % 2 == 0) {  // What is old is sealed, at the scale of these blocks.
      options_.seal_after = milliseconds(4 * kRangeMs);
      options_.tiers = {{milliseconds(100), Duration{0}}};
    }
    if (seed % 3 == 0) {  // Series that are silent for a while leave memory.
      options_.ended_series_min = 1;
      options_.ended_series_idle = milliseconds(400);
    }
    takes_late_ = chance(2);
    if (takes_late_) options_.out_of_order_time_window = milliseconds(4 * kRangeMs);
    options_.wal_compression = chance(2) ? WalCompression::kSnappy : WalCompression::kNone;
  }

  /// Lives until the disk fails or nothing more is planned.
  void live() {
    if (db_ == nullptr) return;
    db_->interrupt_sync();
    const int step_count = 20 + static_cast<int>(random_() % 150);
    for (int step = 0; step < step_count && !disk_->power_is_cut(); ++step) {
      if (chance(30)) trouble_the_disk();
      if (chance(30)) heal_the_disk();
      commit();
      if (chance(3)) db_->sync_due();
      if (chance(12)) erase();
      if (chance(10)) db_->write_head_chunks_due(Timestamp{now_ms_ * 1000});
      if (chance(40)) static_cast<void>(db_->clean_tombstones(Timestamp{now_ms_}));
      if (chance(60)) {
        static_cast<void>(db_->snapshot(Timestamp{now_ms_}, Db::SnapshotScope::kEverything));
      }
      if (chance(8)) {
        while (db_->run_due(Timestamp{now_ms_}) <= Timestamp{now_ms_}) {
        }
      }
    }
    if (!disk_->power_is_cut() && chance(2)) expect_recovery();
    if (chance(6)) static_cast<void>(db_->close());
  }

  /// Plans the end of the next life.
  void plan_crash() {
    const std::uint64_t done = disk_->operation_count();
    disk_->cut_power_at(chance(5) ? 0 : done + 1 + random_() % 400);
  }

  /// The machine goes down and comes up, perhaps several times before the database is open again.
  void crash_and_recover() {
    // Callbacks of a log that goes down without an answer are dropped with it.
    db_.reset();
    for (int attempt = 0;; ++attempt) {
      ++totals_.crashes;
      disk_ = chance(6) && !disk_->power_is_cut() ? disk_->after_process_crash()
                                                  : disk_->after_power_cut(random_());
      const bool again = attempt < 4 && chance(3);
      if (again) disk_->cut_power_at(1 + random_() % 12);
      auto db = Db::open(*disk_, "data", options_, log_, pool_);
      if (again) {
        if (!db.ok()) ++totals_.crashes_in_recovery;
        continue;  // Whatever state that left.
      }
      ASSERT_TRUE(db.ok()) << db.status().message() << "\n" << disk_->describe();
      db_ = std::move(db).value();
      return;
    }
  }

  void start() {
    auto db = Db::open(*disk_, "data", options_, log_, pool_);
    if (db.ok()) db_ = std::move(db).value();
  }

  /// What is there is a prefix of what was committed, whole, bit for bit, and holds everything
  /// acknowledged. Late samples that nobody was promised may be there or not: both logs have them,
  /// and a replay takes from the first what is in order there by now.
  void check() {
    Contents found = read();
    bool is_lost = false;
    std::vector<Commit> survivors;
    for (std::size_t i = 0; i < commits_.size(); ++i) {
      const Commit& commit = commits_[i];
      std::size_t present = 0;
      std::size_t expected = 0;
      Commit found_late;
      for (const auto& [name, sample] : commit.samples) {
        const bool is_deleted = commit.deleted.contains(name);
        const bool is_certain = !is_deleted && !commit.doubtful.contains(name);
        if (is_certain) ++expected;
        const auto series = found.find(name);
        if (series == found.end()) continue;
        const auto at = series->second.find(sample.t.ms);
        if (at == series->second.end()) continue;
        ASSERT_FALSE(is_deleted) << "commit " << i << ": " << name << " was deleted and is back";
        ASSERT_EQ(at->second, std::bit_cast<std::uint64_t>(sample.v)) << "commit " << i;
        series->second.erase(at);
        if (is_certain) ++present;
        found_late.samples.emplace(name, sample);
      }
      if (commit.is_late) {
        ASSERT_TRUE(!commit.is_acknowledged || present == expected)
            << "commit " << i << " was acknowledged and has lost out-of-order samples";
        survivors.push_back(commit);
        if (!commit.is_acknowledged) survivors.back().samples = std::move(found_late.samples);
        survivors.back().is_acknowledged = true;
        if (survivors.back().samples.empty()) survivors.pop_back();
        continue;
      }
      if (expected == 0) {  // What is left of it says nothing.
        survivors.push_back(commit);
        continue;
      }
      if (present == 0) {
        ASSERT_FALSE(commit.is_acknowledged)
            << "commit " << i << " was acknowledged and is lost, " << commit.samples.begin()->first
            << " at " << commit.samples.begin()->second.t.ms;
        is_lost = true;
        continue;
      }
      ASSERT_EQ(present, expected) << "commit " << i << " is there in part";
      ASSERT_FALSE(is_lost) << "commit " << i << " is there, one before it is not";
      survivors.push_back(commit);
      survivors.back().is_acknowledged = true;  // Once seen after a start, it may never go again.
    }
    for (const auto& [name, samples] : found)
      ASSERT_TRUE(samples.empty()) << name << " is invented";
    totals_.survived += survivors.size();
    commits_ = std::move(survivors);
  }

  void count_blocks() {
    for (const BlockSummary& block : db_->blocks()) {
      ++totals_.blocks;
      if (block.compaction_level > 1) ++totals_.compacted_blocks;
    }
  }

 private:
  /// Some write, sync or read to come fails, or the disk is full soon.
  void trouble_the_disk() {
    ++totals_.troubles;
    switch (random_() % 4) {
      case 0: return disk_->fill_disk_after(random_() % 4000);
      case 1: return disk_->fail_sync(1 + random_() % 6);
      case 2: return disk_->fail_append(1 + random_() % 10);
      default: return disk_->fail_read(1 + random_() % 20);
    }
  }
  void heal_the_disk() {
    disk_->fill_disk_after(std::uint64_t{1} << 40);
    disk_->fail_sync(0);
    disk_->fail_append(0);
    disk_->fail_read(0);
  }
  /// Once the disk works, so does the database, without a restart.
  void expect_recovery() {
    heal_the_disk();
    db_->sync_due();
    if (disk_->power_is_cut()) return;
    const auto appender = db_->appender();
    const auto ref = appender->resolve({{"__name__", "recovered"}, {"job", "j"}});
    ASSERT_TRUE(ref.ok());
    now_ms_ += 1;
    Commit commit;
    commit.samples["recovered"] = {Timestamp{now_ms_}, 1.0};
    ASSERT_EQ(appender->append(*ref, commit.samples["recovered"]), AppendOutcome::kAppended);
    const auto position = appender->commit();
    ASSERT_TRUE(position.ok()) << position.status().message();
    commits_.push_back(std::move(commit));
    db_->when_synced(*position, [this, index = commits_.size() - 1](const Status& status) {
      commits_[index].is_acknowledged = status.ok();
    });
    db_->sync_due();
    ASSERT_TRUE(commits_.back().is_acknowledged || disk_->power_is_cut());
  }

  bool chance(unsigned one_in) { return random_() % one_in == 0; }

  /// A float, or a histogram with this sum whose buckets come and go.
  AppendOutcome append(Appender& appender, SeriesRef ref, Sample sample, Commit::Kind kind) {
    if (kind == Commit::kFloat) return appender.append(ref, sample);
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(sample.v);
    const auto n = static_cast<std::int64_t>(bits % 50);
    if (kind == Commit::kFloatHistogram) {
      FloatHistogram h;
      h.sum = sample.v;
      h.count = static_cast<double>(n);
      h.layout.negative_spans = {{static_cast<std::int32_t>(n % 4), 1}};
      h.negative_counts = {static_cast<double>(n)};
      return appender.append_float_histogram(ref, sample.t, std::move(h));
    }
    IntegerHistogram h;
    h.sum = sample.v;
    h.layout.positive_spans = {{static_cast<std::int32_t>(n % 4), 2}};
    h.positive_deltas = {n, 1};
    h.count = static_cast<std::uint64_t>(2 * n + 1);
    return appender.append_histogram(ref, sample.t, std::move(h));
  }

  void commit() {
    now_ms_ += 20 + static_cast<std::int64_t>(random_() % 120);
    const auto appender = db_->appender();
    Commit commit;
    Commit late;
    late.is_late = true;
    const std::size_t count = 1 + random_() % 12;
    for (std::size_t i = 0; i < count; ++i) {
      // Some series stay, some come and go.
      const std::string name =
          chance(4) ? "g" + std::to_string(now_ms_ / 700) + "_" + std::to_string(random_() % 4)
                    : "s" + std::to_string(random_() % 10);
      const auto ref = appender->resolve({{"__name__", name}, {"job", "j"}});
      ASSERT_TRUE(ref.ok());
      auto age_ms = static_cast<std::int64_t>(random_() % 200);
      if (takes_late_ && chance(3)) age_ms = static_cast<std::int64_t>(random_() % 3000);
      const Sample sample{Timestamp{now_ms_ - age_ms}, std::bit_cast<double>(random_())};
      const Commit::Kind kind = !chance(3)  ? Commit::kFloat
                                : chance(3) ? Commit::kFloatHistogram
                                            : Commit::kIntegerHistogram;
      // Of two at one time the second may be dropped without a word, late or because the series had
      // left memory in between.
      if (times_[name].contains(sample.t.ms)) continue;
      if (append(*appender, *ref, sample, kind) != AppendOutcome::kAppended) continue;
      // A second sample of a series in one commit would need a list; one is enough.
      if (commit.samples.contains(name) || late.samples.contains(name)) return;  // Rolls back.
      // In order or late is told by another door.
      const auto strict = db_->appender();
      strict->refuse_out_of_order();
      const bool is_late = append(*strict, *ref, sample, kind) != AppendOutcome::kAppended;
      (is_late ? late : commit).samples.emplace(name, sample);
    }
    if (commit.samples.empty() && late.samples.empty()) return;
    const auto position = appender->commit();
    if (!position.ok()) return;
    ++totals_.commits;
    const std::size_t begin = commits_.size();
    for (Commit* const part : {&commit, &late}) {
      if (part->samples.empty()) continue;
      if (part->is_late) ++totals_.late_commits;
      for (const auto& [name, sample] : part->samples) times_[name].insert(sample.t.ms);
      commits_.push_back(std::move(*part));
    }
    db_->when_synced(*position, [this, begin, end = commits_.size()](const Status& status) {
      if (!status.ok()) return;
      for (std::size_t i = begin; i < end; ++i) commits_[i].is_acknowledged = true;
      ++totals_.acknowledged;
    });
  }

  /// Deletes some time of a series or of all of them, also what blocks have.
  void erase() {
    const std::int64_t max = now_ms_ - static_cast<std::int64_t>(random_() % 4000);
    const TimeRange range{Timestamp{max - static_cast<std::int64_t>(random_() % 3000)},
                          Timestamp{max}};
    const std::string name = chance(4) ? "" : "s" + std::to_string(random_() % 10);
    std::vector<std::pair<std::size_t, std::string>> gone;
    for (std::size_t i = 0; i < commits_.size(); ++i) {
      for (const auto& [series, sample] : commits_[i].samples) {
        if (!range.contains(sample.t) || (!name.empty() && series != name)) continue;
        commits_[i].doubtful.insert(series);
        gone.emplace_back(i, series);
      }
    }
    const Matcher matcher =
        name.empty() ? Matcher::equal("job", "j") : Matcher::equal("__name__", name);
    const auto position = db_->delete_series({matcher}, range);
    if (!position.ok()) return;
    ++totals_.deletions;
    db_->when_synced(*position, [this, gone = std::move(gone)](const Status& status) {
      if (!status.ok()) return;
      for (const auto& [commit, series] : gone) commits_[commit].deleted.insert(series);
      ++totals_.acknowledged_deletions;
    });
  }

  Contents read() {
    Contents out;
    const auto querier = db_->querier({}).value();
    const auto set = querier->select({}, {}, nullptr).value();
    for (std::size_t i = 0; i < set->size(); ++i) {
      SampleColumns columns;
      HistogramColumns histograms;
      const Status status = set->read_mixed(i, {}, columns, histograms);
      EXPECT_TRUE(status.ok()) << status.message();
      EXPECT_TRUE(histograms.empty() || set->may_have_histograms(i));
      auto& samples = out[std::string(set->label(i, "__name__"))];
      for (std::size_t k = 0; k < columns.size(); ++k) {
        EXPECT_TRUE(k == 0 || columns.times_ms[k - 1] < columns.times_ms[k]);
        samples[columns.times_ms[k]] = std::bit_cast<std::uint64_t>(columns.values[k]);
      }
      for (std::size_t k = 0; k < histograms.size(); ++k) {
        EXPECT_TRUE(k == 0 || histograms.times_ms[k - 1] < histograms.times_ms[k]);
        EXPECT_TRUE(
            samples
                .emplace(histograms.times_ms[k], std::bit_cast<std::uint64_t>(histograms.sums[k]))
                .second)
            << "two samples at one time";
      }
    }
    return out;
  }

  std::mt19937_64 random_;
  Totals& totals_;
  ThreadPool* const pool_;
  Options options_;
  CountingLogger log_{totals_};
  std::unique_ptr<FaultyFileSystem> disk_ = std::make_unique<FaultyFileSystem>();
  std::unique_ptr<Db> db_;
  std::vector<Commit> commits_;
  bool takes_late_ = false;
  std::map<std::string, std::set<std::int64_t>> times_;
  std::int64_t now_ms_ = 100'000;
};

/// The sanitizers' test presets ask for fewer: a seed costs four to ten times as much there.
unsigned number_from(const char* variable, unsigned otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::atoi(text));
}

/// The seeds in some portions, which test runners can work on side by side.
constexpr unsigned kPortions = 5;
class DbCrash : public ::testing::TestWithParam<unsigned> {};

TEST_P(DbCrash, AcknowledgedMeansPresentAfterAnyCrash) {
  Totals totals;
  ThreadPool pool({.thread_count = 1});
  const unsigned count = number_from("TARSIER_CRASH_SEEDS", 10'000) / kPortions;
  const unsigned first = number_from("TARSIER_CRASH_FIRST_SEED", 0) + GetParam() * count;
  for (unsigned seed = first; seed - first < count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed) +
                 " (TARSIER_CRASH_SEEDS=5 TARSIER_CRASH_FIRST_SEED=" + std::to_string(seed) + ")");
    Life life(seed, totals, seed % 2 == 0 ? &pool : nullptr);
    life.plan_crash();
    life.start();
    for (int i = 0; i < 3; ++i) {
      life.live();
      ASSERT_NO_FATAL_FAILURE(life.crash_and_recover());
      ASSERT_NO_FATAL_FAILURE(life.check());
      life.count_blocks();
      life.plan_crash();
    }
    if (::testing::Test::HasFailure()) return;
  }
  std::cout << count << " seeds, " << totals.crashes << " crashes, " << totals.crashes_in_recovery
            << " of them while recovering; " << totals.commits << " commits, "
            << totals.acknowledged << " acknowledged, " << totals.survived
            << " seen after a start, " << totals.late_commits << " out of order, "
            << totals.troubles << " disk troubles, " << totals.deletions << " deletions, "
            << totals.acknowledged_deletions << " acknowledged, " << totals.blocks << " blocks, "
            << totals.compacted_blocks << " of them compacted, " << totals.images
            << " starts from an image, " << totals.departures << " departures\n";
  EXPECT_TRUE(count < 100 || totals.compacted_blocks > 0);
  EXPECT_TRUE(count < 100 || (totals.images > 0 && totals.departures > 0));
}

INSTANTIATE_TEST_SUITE_P(Portion, DbCrash, ::testing::Range(0u, kPortions));

}  // namespace
}  // namespace tarsier::tsdb
