#include "alerting/alert_table.h"

#include <gtest/gtest.h>

namespace tarsier::alerting {
namespace {

const tsdb::Labels kA = {{"alertname", "A"}};

std::vector<ActiveAlert> holds(double v = 1) { return {{.labels = kA, .value = v}}; }

AlertState state_of(const AlertTable& table) {
  const AlertRecord* alert = table.find(kA);
  return alert ? alert->state : AlertState::kInactive;
}

TEST(AlertTable, ZeroForFiresAtOnce) {
  AlertTable table;
  EXPECT_TRUE(table.advance(holds(), {0}, {}, 0).status.ok());
  EXPECT_EQ(state_of(table), AlertState::kFiring);
  EXPECT_EQ(table.find(kA)->fired_at, Timestamp{0});
}

TEST(AlertTable, AForBelowTheIntervalFiresAtTheSecondEvaluation) {
  AlertTable table;
  const AlertTiming timing{.hold = seconds(15)};
  table.advance(holds(), {0}, timing, 0);
  EXPECT_EQ(state_of(table), AlertState::kPending);
  table.advance(holds(), {30'000}, timing, 0);
  EXPECT_EQ(state_of(table), AlertState::kFiring);
  EXPECT_EQ(table.find(kA)->active_at, Timestamp{0});
  EXPECT_EQ(table.find(kA)->fired_at, Timestamp{30'000});
}

TEST(AlertTable, APendingAlertThatEndsIsForgottenSilently) {
  AlertTable table;
  table.advance(holds(), {0}, {.hold = minutes(5)}, 0);
  const AlertChanges changes = table.advance({}, {60'000}, {.hold = minutes(5)}, 0);
  EXPECT_EQ(changes.erased.size(), 1u);
  EXPECT_TRUE(table.empty());
  EXPECT_TRUE(table.due_notifications({60'000}, minutes(1), minutes(4), "").empty());
}

TEST(AlertTable, AResolvedAlertIsToldForFifteenMinutesOnceReceiversKnow) {
  AlertTable table;
  table.advance(holds(), {0}, {}, 0);
  for (int minute = 1; minute <= 16; ++minute) {
    const Timestamp ts{minute * 60'000};
    table.advance({}, ts, {}, 0);
    const auto due = table.due_notifications(ts, seconds(50), minutes(4), "");
    ASSERT_EQ(due.size(), 1u) << minute;
    EXPECT_EQ(due[0].ends_at, Timestamp{60'000});
    table.mark_sent(due, ts);
  }
  table.advance({}, {17 * 60'000}, {}, 0);
  EXPECT_TRUE(table.empty());
}

TEST(AlertTable, AResolveThatNobodyTookIsKeptUntilSomebodyDoes) {
  AlertTable table;
  table.advance(holds(), {0}, {}, 0);
  for (int hour = 1; hour <= 24; ++hour) table.advance({}, {hour * 3'600'000}, {}, 0);
  const auto due = table.due_notifications({25 * 3'600'000}, minutes(1), minutes(4), "");
  ASSERT_EQ(due.size(), 1u);
  table.mark_sent(due, {25 * 3'600'000});
  table.advance({}, {26 * 3'600'000}, {}, 0);
  EXPECT_TRUE(table.empty());
}

TEST(AlertTable, ResendsOnlyAfterMoreThanTheDelay) {
  AlertTable table;
  table.advance(holds(), {0}, {}, 0);
  table.mark_sent(table.due_notifications({0}, minutes(1), minutes(4), ""), {0});
  EXPECT_TRUE(table.due_notifications({60'000}, minutes(1), minutes(4), "").empty());
  const auto due = table.due_notifications({90'000}, minutes(1), minutes(4), "");
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].ends_at, Timestamp{90'000 + 240'000});  // From the send, not from the start.
  EXPECT_EQ(due[0].starts_at, Timestamp{0});
}

TEST(AlertTable, KeepsFiringForAWhile) {
  AlertTable table;
  const AlertTiming timing{.keep_firing_for = minutes(5)};
  table.advance(holds(7), {0}, timing, 0);
  table.advance({}, {60'000}, timing, 0);
  EXPECT_EQ(state_of(table), AlertState::kFiring);
  EXPECT_EQ(table.find(kA)->keep_firing_since, Timestamp{60'000});
  EXPECT_EQ(table.find(kA)->value, 7);
  table.advance(holds(), {120'000}, timing, 0);
  EXPECT_EQ(table.find(kA)->keep_firing_since, kNotYet);
  table.advance({}, {180'000}, timing, 0);
  table.advance({}, {479'000}, timing, 0);
  EXPECT_EQ(state_of(table), AlertState::kFiring);
  table.advance({}, {480'000}, timing, 0);
  EXPECT_EQ(state_of(table), AlertState::kInactive);
  EXPECT_EQ(table.find(kA)->resolved_at, Timestamp{480'000});
}

TEST(AlertTable, AReturningAlertIsANewOne) {
  AlertTable table;
  const AlertTiming timing{.hold = minutes(1)};
  table.advance(holds(), {0}, timing, 0);
  table.advance(holds(), {60'000}, timing, 0);
  table.mark_sent(table.due_notifications({60'000}, minutes(1), minutes(4), ""), {60'000});
  table.advance({}, {120'000}, timing, 0);
  table.mark_sent(table.due_notifications({120'000}, minutes(1), minutes(4), ""), {120'000});
  table.advance(holds(), {180'000}, timing, 0);
  EXPECT_EQ(state_of(table), AlertState::kPending);
  EXPECT_EQ(table.find(kA)->active_at, Timestamp{180'000});
  // The old one's end is no longer told.
  EXPECT_TRUE(table.due_notifications({600'000}, minutes(1), minutes(4), "").empty());
}

TEST(AlertTable, ARaisedForSendsAFiringAlertBackToPending) {
  AlertTable table;
  table.advance(holds(), {0}, {.hold = minutes(1)}, 0);
  table.advance(holds(), {60'000}, {.hold = minutes(1)}, 0);
  EXPECT_EQ(state_of(table), AlertState::kFiring);
  table.advance(holds(), {120'000}, {.hold = minutes(10)}, 0);
  EXPECT_EQ(state_of(table), AlertState::kPending);
  EXPECT_EQ(table.find(kA)->fired_at, kNotYet);
}

TEST(AlertTable, BeyondTheLimitEverythingIsForgotten) {
  AlertTable table;
  table.advance(holds(), {0}, {}, 1);
  const AlertChanges changes = table.advance(
      {{.labels = kA}, {.labels = {{"alertname", "A"}, {"x", "1"}}}}, {60'000}, {}, 1);
  EXPECT_EQ(changes.status.code(), Code::kLimit);
  EXPECT_EQ(changes.status.message(), "exceeded limit of 1 with 2 alerts");
  EXPECT_TRUE(table.empty());
}

TEST(AlertTable, EqualLabelSetsAreAnErrorThatChangesNothing) {
  AlertTable table;
  table.advance(holds(), {0}, {.hold = minutes(5)}, 0);
  EXPECT_EQ(table.advance({{.labels = kA}, {.labels = kA}}, {600'000}, {}, 0).status.code(),
            Code::kInvalid);
  EXPECT_EQ(state_of(table), AlertState::kPending);
}

TEST(AlertTable, AnOutageDoesNotCountForPendingAlerts) {
  AlertTable table;
  table.advance(holds(), {0}, {.hold = minutes(5)}, 0);
  table.skip_outage(minutes(10), hours(1));
  EXPECT_EQ(table.find(kA)->active_at, Timestamp{600'000});
  EXPECT_EQ(table.skip_outage(hours(2), hours(1)).erased.size(), 1u);
}

}  // namespace
}  // namespace tarsier::alerting
