#include "alerting/alert_journal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alerting/journal_record.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"

namespace tarsier::alerting {
namespace {

AlertRecord record(std::string_view name, AlertState state = AlertState::kFiring) {
  return {.labels = {{"alertname", name}, {"job", "a"}},
          .annotations = {{"empty", ""}, {"summary", "text"}},
          .state = state,
          .value = 1.5,
          .active_at = {1000},
          .fired_at = {2000}};
}

struct Lab {
  std::unique_ptr<AlertJournal> open() {
    auto opened = AlertJournal::open(*files, "alerts", log);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  void cut_power(std::uint64_t seed) { files = files->after_power_cut(seed); }

  std::unique_ptr<testing::FaultyFileSystem> files = std::make_unique<testing::FaultyFileSystem>();
  testing::CapturingLogger log;
};

TEST(AlertJournal, RemembersWhatWasSynced) {
  Lab lab;
  auto journal = lab.open();
  journal->put("o", record("A"), {2000});
  journal->put("o", record("B"), {2000});
  journal->put("p", record("C"), {2000});
  journal->erase("o", record("B").labels, {3000});
  journal->drop("p", {4000});
  journal->sent("o", record("A").labels, {5000});
  const JournalPosition last = journal->evaluated("file;g", {7000});
  ASSERT_TRUE(journal->sync(last).ok());
  journal.reset();
  lab.cut_power(1);
  journal = lab.open();
  AlertRecord expected = record("A");
  expected.last_sent = {5000};
  EXPECT_EQ(journal->alerts_of("o"), std::vector<AlertRecord>{expected});
  EXPECT_EQ(journal->owners(), std::vector<std::string>{"o"});
  EXPECT_EQ(journal->last_evaluation("file;g"), Timestamp{7000});
  EXPECT_GE(journal->position(), last);
  EXPECT_TRUE(lab.log.lines().empty());
}

TEST(AlertJournal, LosesNothingSyncedWhereverThePowerGoes) {
  std::uint64_t operations = 0;
  {
    Lab lab;
    auto journal = lab.open();
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(journal->sync(journal->put("o", record(fmt::format("A{}", i)), {2000})).ok());
    }
    operations = lab.files->operation_count();
  }
  for (std::uint64_t cut = 1; cut <= operations; ++cut) {
    SCOPED_TRACE(fmt::format("power cut at operation {}", cut));
    Lab lab;
    lab.files->cut_power_at(cut);
    std::size_t promised = 0;
    {
      auto opened = AlertJournal::open(*lab.files, "alerts", lab.log);
      for (int i = 0; opened.ok() && i < 5; ++i) {
        const auto position = (*opened)->put("o", record(fmt::format("A{}", i)), {2000});
        if ((*opened)->sync(position).ok()) ++promised;
      }
    }
    lab.cut_power(cut);
    auto journal = lab.open();
    ASSERT_TRUE(journal);
    const std::vector<AlertRecord> found = journal->alerts_of("o");
    ASSERT_GE(found.size(), promised);
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i], record(fmt::format("A{}", i)));
    }
    EXPECT_TRUE(journal->sync(journal->put("o", record("B"), {2000})).ok());
  }
}

TEST(AlertJournal, IsWrittenAnewWhenItOutgrowsWhatItSays) {
  Lab lab;
  auto journal = lab.open();
  AlertRecord big = record("A");
  big.annotations = {{"text", std::string(100'000, 'x')}};
  for (int i = 0; i < 40; ++i) {
    big.value = i;
    ASSERT_TRUE(journal->sync(journal->put("o", big, {2000})).ok());
  }
  journal.reset();
  const auto entries = lab.files->list("alerts");
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1u);
  auto file = lab.files->open_readable("alerts/" + entries->front().name, Access::kRead);
  EXPECT_LT((*file)->size(), 3'000'000u);
  EXPECT_EQ(lab.open()->alerts_of("o"), std::vector<AlertRecord>{big});
}

TEST(AlertJournal, SetsADamagedTailAsideAndGoesOn) {
  Lab lab;
  auto journal = lab.open();
  ASSERT_TRUE(journal->sync(journal->put("o", record("A"), {2000})).ok());
  ASSERT_TRUE(journal->sync(journal->put("o", record("B"), {2000})).ok());
  journal.reset();
  const std::string name = lab.files->list("alerts")->front().name;
  std::string text = *read_file(*lab.files, "alerts/" + name, 1 << 20);
  text.back() = static_cast<char>(text.back() ^ 1);
  ASSERT_TRUE(write_file_atomically(*lab.files, "alerts/" + name, text).ok());
  journal = lab.open();
  EXPECT_EQ(journal->alerts_of("o"), std::vector<AlertRecord>{record("A")});
  EXPECT_TRUE(lab.log.contains("wrong checksum"));
  EXPECT_TRUE(lab.files->exists("alerts/damaged"));
}

TEST(AlertJournal, AfterAFailureEverythingIsWrittenAnewOnceTheDiskWorks) {
  for (const bool is_append : {false, true}) {
    Lab lab;
    auto journal = lab.open();
    if (is_append) {
      lab.files->fail_append(1);
    } else {
      lab.files->fail_sync(1);
    }
    EXPECT_FALSE(journal->sync(journal->put("o", record("A"), {2000})).ok());
    EXPECT_TRUE(lab.log.contains("journal of alerts failed"));
    EXPECT_TRUE(journal->sync(journal->put("o", record("B"), {2000})).ok());
    EXPECT_TRUE(lab.log.contains("written again"));
    EXPECT_TRUE(journal->sync(journal->put("o", record("C"), {2000})).ok());
    journal.reset();
    lab.cut_power(7);
    EXPECT_EQ(lab.open()->alerts_of("o"),
              (std::vector<AlertRecord>{record("A"), record("B"), record("C")}));
  }
}

TEST(AlertJournal, GoesOnWhileTheDiskIsFull) {
  Lab lab;
  auto journal = lab.open();
  lab.files->fill_disk_after(0);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(journal->sync(journal->put("o", record(fmt::format("A{}", i)), {2000})).ok());
  }
  EXPECT_EQ(journal->alerts_of("o").size(), 5u);
  lab.files->fill_disk_after(1 << 20);
  EXPECT_TRUE(journal->sync(journal->position()).ok());
  journal.reset();
  lab.cut_power(3);
  EXPECT_EQ(lab.open()->alerts_of("o").size(), 5u);
}

TEST(AlertJournal, ReadsTheExampleOfItsFormat) {
  const std::string bytes = testing::format_example(
      std::string(TARSIER_SOURCE_DIR) + "/alerting/FORMAT.md", "Journal of alerts");
  ASSERT_FALSE(bytes.empty());
  const JournalReading reading = read_journal(as_bytes(bytes));
  EXPECT_TRUE(reading.damage.ok()) << reading.damage.message();
  EXPECT_EQ(reading.image.position, JournalPosition{4});
  EXPECT_EQ(reading.image.evaluated.at("f;g"), Timestamp{60'000});
  const auto& alerts = reading.image.alerts.at("o");
  ASSERT_EQ(alerts.size(), 1u);
  const AlertRecord& alert = alerts.begin()->second;
  EXPECT_EQ(alert.labels.to_string(), R"({alertname="A"})");
  EXPECT_EQ(alert.state, AlertState::kFiring);
  EXPECT_EQ(alert.value, 1);
  EXPECT_EQ(alert.fired_at, Timestamp{60'000});
  EXPECT_EQ(alert.resolved_at, kNotYet);
  const AlertEvent expected{.at = {60'000},
                            .owner = "o",
                            .labels = {{"alertname", "A"}},
                            .kind = AlertEventKind::kFiring,
                            .value = 1};
  ASSERT_EQ(reading.image.history.events().size(), 1u);
  EXPECT_EQ(reading.image.history.events().front(), expected);
}

TEST(AlertJournal, ReadsTheFormatWithoutEvents) {
  std::string bytes(kFormerJournalMagic);
  put_be64(bytes, 1);
  append_framed(bytes, {2}, encode_put("o", record("A")));
  const JournalReading reading = read_journal(as_bytes(bytes));
  EXPECT_TRUE(reading.damage.ok()) << reading.damage.message();
  EXPECT_EQ(reading.image.alerts.at("o").size(), 1u);
}

std::vector<std::string> told(const std::vector<AlertEvent>& events) {
  std::vector<std::string> out;
  for (const AlertEvent& event : events) {
    out.push_back(fmt::format("{} {} {} {}", event.at.ms, event.labels.get("alertname"),
                              alert_event_name(event.kind), resolve_reason_text(event.reason)));
  }
  return out;
}

TEST(AlertJournal, TellsWhatHappenedAlsoAfterARestart) {
  Lab lab;
  auto journal = lab.open();
  AlertRecord a = record("A", AlertState::kPending);
  journal->put("o", a, {1000});
  a.keep_firing_since = {1500};  // No change of its state.
  journal->put("o", a, {1500});
  a.state = AlertState::kFiring;
  journal->put("o", a, {2000});
  journal->put("o", record("B", AlertState::kPending), {2000});
  journal->erase("o", record("B").labels, {3000});
  a.state = AlertState::kInactive;
  a.resolve_reason = ResolveReason::kRuleRemoved;
  journal->put("o", a, {4000});
  journal->drop("o", {5000});
  const std::vector<std::string> expected = {"4000 A resolved rule removed", "3000 B dropped ",
                                             "2000 B pending ", "2000 A firing ",
                                             "1000 A pending "};
  EXPECT_EQ(told(journal->history({})), expected);
  ASSERT_TRUE(journal->sync(journal->position()).ok());
  journal.reset();
  lab.cut_power(1);
  journal = lab.open();
  EXPECT_EQ(told(journal->history({})), expected);
  const AlertEventFilter narrow{
      .id = fingerprint_of(a.labels), .labelling = {}, .matchers = {}, .end = {2000}, .limit = 1};
  EXPECT_EQ(told(journal->history(narrow)), std::vector<std::string>{"2000 A firing "});
}

TEST(AlertHistory, RemembersNinetyDays) {
  AlertHistory history;
  // One alert a minute, fired and ended: more than 200,000 events.
  for (std::int64_t minute = 0; minute <= 100 * 24 * 60; ++minute) {
    history.add({.at = {minute * 60'000}, .owner = "o", .labels = {}});
  }
  EXPECT_EQ(history.events().size(), 90u * 24 * 60 + 1);
  EXPECT_EQ(history.events().front().at, Timestamp{0} + days(10));
}

TEST(AlertHistory, ForgetsTheOldestWhenItIsFull) {
  AlertHistory history;
  history.set_limits({.bytes_max = 100'000});
  for (std::int64_t i = 0; i < 5'000; ++i) {
    history.add({.at = {i}, .owner = "o", .labels = {}});
    ASSERT_LE(history.size_bytes(), 100'000u);
  }
  EXPECT_GT(history.events().size(), 100u);
  EXPECT_EQ(history.events().back().at, Timestamp{4'999});
  history.set_limits({.age_max = milliseconds(5)});
  EXPECT_EQ(history.events().size(), 6u);
}

TEST(AlertJournal, RewritesTheExampleToTheSameBytes) {
  // Run with TARSIER_UPDATE_GOLDEN=1 to see what the page should say.
  std::string out(kJournalMagic);
  put_be64(out, 1);
  append_framed(out, {2}, encode_evaluated("f;g", {60'000}));
  append_framed(out, {3},
                encode_put("o", {.labels = {{"alertname", "A"}},
                                 .annotations = {},
                                 .state = AlertState::kFiring,
                                 .value = 1,
                                 .active_at = {0},
                                 .fired_at = {60'000}}));
  append_framed(out, {4},
                encode_event({.at = {60'000},
                              .owner = "o",
                              .labels = {{"alertname", "A"}},
                              .kind = AlertEventKind::kFiring,
                              .value = 1}));
  const std::string page = testing::format_example(
      std::string(TARSIER_SOURCE_DIR) + "/alerting/FORMAT.md", "Journal of alerts");
  std::string hex;
  for (const char c : out) hex += fmt::format("{:02x} ", static_cast<unsigned char>(c));
  EXPECT_EQ(page, out) << hex;
}

}  // namespace
}  // namespace tarsier::alerting
