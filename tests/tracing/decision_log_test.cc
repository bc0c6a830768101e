#include "tracing/decision_log.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"

namespace tarsier::tracing {
namespace {

using tarsier::testing::FaultyFileSystem;

constexpr Timestamp kStart{1'700'000'000'000};

SamplingDecision kept(const std::string& policy, double probability = 1) {
  SamplingDecision out{.is_kept = true, .policy = policy, .decided_at = kStart};
  out.threshold = threshold_of(probability);
  out.adjusted_count = out.threshold->adjusted_count();
  return out;
}

class DecisionLogTest : public ::testing::Test {
 protected:
  void open(Timestamp now = kStart) {
    log_.reset();
    auto opened = DecisionLog::open(*files_, "decisions", options_, now, logger_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    log_ = std::move(opened).value();
  }
  std::optional<DecisionLog::Memory> find(TraceId id) { return log_->find(id).value(); }

  NullLogger logger_;
  std::unique_ptr<FaultyFileSystem> files_ = std::make_unique<FaultyFileSystem>();
  DecisionLog::Options options_;
  std::unique_ptr<DecisionLog> log_;
};

TEST(PackedDecision, ComesBackAsItWas) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    PackedDecision::Parts parts;
    parts.is_kept = random() % 2;
    parts.trigger = static_cast<DecisionTrigger>(random() % 7);
    parts.inputs = {.has_error = random() % 2 == 0,
                    .has_root = random() % 2 == 0,
                    .duration_ns = random() >> (random() % 60),
                    .span_count = static_cast<std::uint32_t>(random() >> (32 + random() % 31))};
    parts.policy_number = random() % 1024;
    parts.seconds = random() % 4096;
    if (random() % 2)
      parts.threshold = threshold_of(1 / (1 + static_cast<double>(random() % 100'000)));
    const PackedDecision::Parts back = PackedDecision::pack(parts).unpack();
    ASSERT_EQ(back.is_kept, parts.is_kept);
    ASSERT_EQ(back.trigger, parts.trigger);
    ASSERT_EQ(back.inputs.has_error, parts.inputs.has_error);
    ASSERT_EQ(back.inputs.has_root, parts.inputs.has_root);
    ASSERT_EQ(back.policy_number, parts.policy_number);
    ASSERT_EQ(back.seconds, parts.seconds);
    ASSERT_EQ(back.threshold, parts.threshold) << "thresholds we write come back exactly";
    if (parts.inputs.duration_ns > 0 && parts.inputs.duration_ns < (1ull << 60)) {
      const double ratio = static_cast<double>(back.inputs.duration_ns) /
                           static_cast<double>(parts.inputs.duration_ns);
      ASSERT_NEAR(ratio, 1, parts.inputs.duration_ns < 64 ? 0.4 : 0.1);
    }
    ASSERT_NEAR(static_cast<double>(back.inputs.span_count),
                static_cast<double>(parts.inputs.span_count), 0.2 * parts.inputs.span_count);
  }
}

TEST(DecisionFormat, ReadsTheWorkedExample) {
  const std::string example = tarsier::testing::format_example(
      std::string(TARSIER_SOURCE_DIR) + "/tracing/FORMAT.md", "Decision log");
  std::size_t whole_bytes = 0;
  const auto table = read_decision_log(example, whole_bytes);
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(whole_bytes, example.size());
  EXPECT_EQ((*table)->begin(), kStart);
  EXPECT_EQ((*table)->size(), 2u);
  const auto parts = (*table)->find({0x11223344556677})->unpack();
  EXPECT_TRUE(parts.is_kept);
  EXPECT_EQ((*table)->policy(parts.policy_number), "errors");
  EXPECT_EQ(parts.threshold, kKeepAll);
  EXPECT_FALSE((*table)->find({0x80000000000001})->is_kept());
}

TEST_F(DecisionLogTest, RemembersWhatWasDecidedAndWhy) {
  open();
  SamplingDecision decision = kept("slow", 0.01);
  decision.trigger = DecisionTrigger::kIdle;
  decision.decided_at = kStart + seconds(7);
  log_->remember({1, 2}, decision, {.has_root = true, .duration_ns = 512'000'000, .span_count = 8});
  log_->remember({1, 3}, {.decided_at = kStart}, {});
  for (const bool is_reopened : {false, true}) {
    SCOPED_TRACE(is_reopened);
    const auto found = find({1, 2});
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->decision.is_kept);
    EXPECT_EQ(found->decision.policy, "slow");
    EXPECT_EQ(found->decision.trigger, DecisionTrigger::kIdle);
    EXPECT_EQ(found->decision.decided_at, kStart + seconds(7));
    EXPECT_EQ(found->decision.threshold, decision.threshold);
    EXPECT_EQ(found->decision.adjusted_count, decision.adjusted_count);
    EXPECT_TRUE(found->inputs.has_root);
    EXPECT_FALSE(found->inputs.has_error);
    EXPECT_NEAR(static_cast<double>(found->inputs.duration_ns), 512e6, 50e6);
    EXPECT_EQ(found->inputs.span_count, 8u);
    ASSERT_TRUE(find({1, 3}));
    EXPECT_FALSE(find({1, 3})->decision.is_kept);
    EXPECT_FALSE(find({1, 4}));
    ASSERT_TRUE(log_->flush(kStart + seconds(8)).ok());
    open(kStart + seconds(9));
  }
}

TEST_F(DecisionLogTest, FindsOnDiskWhatLeftMemory) {
  options_.memory_bytes_max = 1;
  options_.segment_decisions_max = 1000;
  open();
  std::mt19937_64 random(4);
  std::map<TraceId, std::string> model;
  for (int i = 0; i < 20'000; ++i) {
    const TraceId id{random(), random()};
    const std::string policy = i % 3 == 0 ? "" : "p" + std::to_string(i % 7 + i / 5000);
    SamplingDecision decision = kept(policy);
    decision.is_kept = !policy.empty();
    log_->remember(id, decision, {});
    model[id] = policy;
    if (i % 100 != 0) continue;
    ASSERT_TRUE(log_->flush(kStart + milliseconds(i)).ok());
  }
  int in_memory = 0;
  int count = 0;
  for (const auto& [id, policy] : model) {
    if (++count % 20 != 0) continue;
    in_memory += log_->recall(id).has_value();
    const auto found = find(id);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->decision.policy, policy);
    EXPECT_EQ(found->decision.is_kept, !policy.empty());
  }
  EXPECT_LT(in_memory, 110);
  int invented = 0;
  for (int i = 0; i < 200; ++i) invented += find({random(), random()}).has_value();
  EXPECT_EQ(invented, 0);
}

TEST_F(DecisionLogTest, TakesLessThanSixteenBytesADecision) {
  open();
  std::mt19937_64 random(5);
  for (int i = 0; i < 50'000; ++i) log_->remember({random(), random()}, kept("p"), {});
  ASSERT_TRUE(log_->flush(kStart + minutes(10)).ok());
  MetricWriter out;
  log_->collect(out, kStart + minutes(10));
  const std::string text = out.take();
  const auto value = [&](const std::string& name) {
    const std::size_t at = text.find("\n" + name + " ");
    return std::stod(text.substr(at + name.size() + 2));
  };
  const double bytes = value("tarsier_sampling_decision_log_disk_bytes");
  EXPECT_EQ(value("tarsier_sampling_decision_log_decisions"), 50'000);
  EXPECT_LT(bytes / 50'000, 16.0);
  EXPECT_EQ(value("tarsier_sampling_decision_log_covered_seconds"), 600);
}

TEST_F(DecisionLogTest, ForgetsByAgeAndBySize) {
  options_.retention = minutes(30);
  open();
  for (int minute = 0; minute < 120; ++minute) {
    SamplingDecision decision = kept("p");
    decision.decided_at = kStart + minutes(minute);
    log_->remember({1, static_cast<std::uint64_t>(minute)}, decision, {});
    ASSERT_TRUE(log_->flush(kStart + minutes(minute)).ok());
  }
  EXPECT_FALSE(find({1, 5}));
  EXPECT_TRUE(find({1, 100}));
  EXPECT_LE(log_->covered(kStart + minutes(119)), minutes(50));
  EXPECT_GE(log_->covered(kStart + minutes(119)), minutes(30));
  options_.retention = hours(48);
  options_.disk_bytes_max = 10'000;
  open(kStart + minutes(120));
  ASSERT_TRUE(log_->flush(kStart + minutes(121)).ok());
  EXPECT_FALSE(find({1, 88}));
  EXPECT_TRUE(find({1, 119}));
}

TEST_F(DecisionLogTest, TheLastDecisionOnATraceCounts) {
  open();
  log_->remember({1, 1}, {.decided_at = kStart}, {});
  log_->remember({1, 1}, kept("late"), {});
  EXPECT_EQ(find({1, 1})->decision.policy, "late");
  ASSERT_TRUE(log_->flush(kStart).ok());
  open();
  EXPECT_EQ(find({1, 1})->decision.policy, "late");
}

TEST_F(DecisionLogTest, LosesNothingThatWasSyncedWhereverThePowerFails) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    files_ = std::make_unique<FaultyFileSystem>();
    options_.segment_decisions_max = 20;
    open();
    std::vector<std::pair<TraceId, bool>> ids;  // With: synced.
    std::int64_t now_ms = kStart.ms;
    for (int life = 0; life < 3; ++life) {
      files_->cut_power_at(files_->operation_count() + 1 + random() % 40);
      while (!files_->power_is_cut()) {
        now_ms += 100;
        const TraceId id{random(), random()};
        log_->remember(id, kept("p" + std::to_string(random() % 3)), {});
        ids.emplace_back(id, false);
        if (random() % 2 && !log_->flush(Timestamp{now_ms}).ok()) continue;
        if (random() % 4 == 0 && log_->sync().ok() && !files_->power_is_cut()) {
          for (auto& entry : ids) entry.second = true;
        }
      }
      log_.reset();
      files_ = files_->after_power_cut(random());
      open(Timestamp{now_ms});
      for (const auto& [id, is_synced] : ids) {
        const auto found = find(id);
        ASSERT_TRUE(found || !is_synced) << "life " << life;
        ASSERT_TRUE(!found || found->decision.policy.starts_with("p"));
      }
      std::erase_if(ids, [](const auto& entry) { return !entry.second; });
    }
  }
}

TEST_F(DecisionLogTest, SetsADamagedLogAside) {
  open();
  log_.reset();
  const std::string contents = "this is no log of decisions, and nothing a crash leaves";
  ASSERT_TRUE(write_file_atomically(*files_, "decisions/00000007.log", contents).ok());
  open();
  EXPECT_FALSE(files_->exists("decisions/00000007.log"));
  EXPECT_EQ(read_file(*files_, "decisions/00000007.log.damaged", 1000).value(), contents);
  // One that a crash kept from beginning is nothing to keep.
  log_.reset();
  ASSERT_TRUE(write_file_atomically(*files_, "decisions/00000009.log", "TR").ok());
  open();
  EXPECT_FALSE(files_->exists("decisions/00000009.log"));
  EXPECT_FALSE(files_->exists("decisions/00000009.log.damaged"));
}

TEST(DecisionTable, APolicyWithALongNameHasOneNumber) {
  DecisionTable table(kStart);
  const std::string name(10'000, 'x');
  EXPECT_EQ(table.number_of(name), 1u);
  EXPECT_EQ(table.number_of(name), 1u);
  EXPECT_EQ(table.names().size(), 1u);
}

TEST_F(DecisionLogTest, GoesOnAfterADiskThatWasFull) {
  open();
  log_->remember({1, 1}, kept("before"), {});
  ASSERT_TRUE(log_->flush(kStart).ok());
  files_->fill_disk_after(3);
  log_->remember({1, 2}, kept("during"), {});
  EXPECT_FALSE(log_->flush(kStart + seconds(1)).ok());
  EXPECT_TRUE(find({1, 2}));
  files_->fill_disk_after(1 << 30);
  log_->remember({1, 3}, kept("after"), {});
  ASSERT_TRUE(log_->flush(kStart + seconds(2)).ok());
  ASSERT_TRUE(log_->sync().ok());
  open(kStart + seconds(3));
  for (const std::uint64_t low : {1u, 2u, 3u}) EXPECT_TRUE(find({1, low})) << low;
}

}  // namespace
}  // namespace tarsier::tracing
