#include "alerting/notifier.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "alerting/matcher_text.h"
#include "alerting/notifier/attempt.h"
#include "base/json_reader.h"
#include "tests/alerting/notifier_station.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::alerting {
namespace {

using testing::simple_config;
using testing::Station;
using Told = std::vector<std::string>;

tsdb::Labels alert(std::string_view name, std::string_view instance = "a") {
  return tsdb::Labels{{"alertname", name}, {"instance", instance}, {"severity", "page"}};
}

class NotifierTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(station.start(simple_config("hook")).ok()); }
  void fire(std::string_view name, std::string_view instance = "a") {
    ASSERT_TRUE(station.fire(alert(name, instance)).ok());
  }
  void resolve(std::string_view name, std::string_view instance = "a") {
    ASSERT_TRUE(station.resolve(alert(name, instance)).ok());
  }

  tarsier::testing::FaultyFileSystem disk;
  Station station{disk};
};

TEST_F(NotifierTest, WaitsForTheGroupAndTellsItOnce) {
  fire("Down", "a");
  station.pass(seconds(20));
  fire("Down", "b");
  station.pass(milliseconds(9'999));
  EXPECT_EQ(station.told, Told());
  station.pass(milliseconds(1));
  EXPECT_EQ(station.told, Told({"firing: Down Down"}));
  station.pass(hours(3));
  EXPECT_EQ(station.told.size(), 1u);
}

TEST_F(NotifierTest, TellsWhatIsNewAtTheNextInterval) {
  fire("Down", "a");
  station.pass(minutes(1));
  fire("Down", "b");
  station.pass(minutes(4));
  EXPECT_EQ(station.told.size(), 1u);
  station.pass(seconds(30));
  EXPECT_EQ(station.told, Told({"firing: Down", "firing: Down Down"}));
  resolve("Down", "a");
  station.pass(minutes(5));
  resolve("Down", "b");
  station.pass(minutes(5));
  EXPECT_EQ(station.told,
            Told({"firing: Down", "firing: Down Down", "firing: Down! Down", "resolved: Down!"}));
  EXPECT_TRUE(station.notifier->alerts(station.now).empty());
}

TEST_F(NotifierTest, RepeatsBehindTheRepeatInterval) {
  fire("Down");
  station.pass(hours(4) + seconds(30));
  EXPECT_EQ(station.told.size(), 1u);  // Exactly four hours are not more than four hours.
  station.pass(minutes(5));
  EXPECT_EQ(station.told, Told({"firing: Down", "firing: Down"}));
}

TEST_F(NotifierTest, DoesNotAnnounceWhatIsOverBeforeItIsTold) {
  fire("Down");
  station.pass(seconds(10));
  resolve("Down");
  station.pass(hours(1));
  EXPECT_EQ(station.told, Told());
  EXPECT_TRUE(station.notifier->groups(station.now).empty());
}

TEST_F(NotifierTest, AnAlertNobodyTellsAgainEndsByItself) {
  ASSERT_TRUE(station.fire(alert("Down"), minutes(4)).ok());
  station.pass(minutes(6));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!"}));
}

TEST_F(NotifierTest, WithoutGroupWaitItTellsAtOnce) {
  NotifierConfig config = simple_config("hook");
  config.root.group_wait = seconds(0);
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  fire("Down");
  station.pass(milliseconds(0));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
}

TEST_F(NotifierTest, AWebhookGetsExactlyVersionFour) {
  ASSERT_TRUE(station
                  .fire(tsdb::Labels{
                      {"alertname", "DemoAlert"}, {"server", "ni3"}, {"severity", "critical"}})
                  .ok());
  station.pass(minutes(1));
  ASSERT_EQ(station.sent.size(), 1u);
  EXPECT_EQ(
      station.sent[0].second,
      R"({"receiver":"hook","status":"firing","alerts":[{"status":"firing","labels":)"
      R"({"alertname":"DemoAlert","server":"ni3","severity":"critical"},"annotations":{},)"
      R"("startsAt":"2023-11-14T22:13:20Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"",)"
      R"("fingerprint":"8a07086b74f3ba78"}],"notification_reason":"first notification",)"
      R"("groupLabels":{"alertname":"DemoAlert"},"commonLabels":{"alertname":"DemoAlert",)"
      R"("server":"ni3","severity":"critical"},"commonAnnotations":{},"routeLabels":{},)"
      R"("externalURL":"http://tarsier:9090","version":"4",)"
      R"("groupKey":"{}:{alertname=\"DemoAlert\"}","truncatedAlerts":0})"
      "\n");
  EXPECT_EQ(station.sent[0].first.size(), 64u);
}

TEST_F(NotifierTest, SilencesMuteAndWhatTheyHeldBackIsToldAfterwards) {
  Silence silence;
  silence.matchers = testing::matchers("alertname=Down");
  silence.starts_at = station.now;
  silence.ends_at = station.now + minutes(12);
  const std::string id = *station.notifier->set_silence(silence, station.now);
  EXPECT_EQ(id.size(), 36u);
  fire("Down");
  fire("Other");
  station.pass(minutes(10));
  EXPECT_EQ(station.told, Told({"firing: Other"}));
  ASSERT_EQ(station.notifier->alerts(station.now).size(), 2u);
  for (const AlertStatus& status : station.notifier->alerts(station.now)) {
    const bool is_down = status.alert.labels.get("alertname") == "Down";
    EXPECT_EQ(status.silenced_by, is_down ? Told({id}) : Told());
  }
  station.pass(minutes(6));
  EXPECT_EQ(station.told, Told({"firing: Other", "firing: Down"}));
}

TEST_F(NotifierTest, SilencesOutliveTheProcessAndCanBeChanged) {
  Silence silence;
  silence.matchers = testing::matchers(R"({alertname="Down",instance=~"a|b"})");
  silence.starts_at = station.now;
  silence.ends_at = station.now + hours(2);
  silence.created_by = "me";
  const std::string id = *station.notifier->set_silence(silence, station.now);
  station.stop();
  ASSERT_TRUE(station.start(simple_config("hook")).ok());
  std::optional<Silence> read = station.notifier->silence(id);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->created_by, "me");
  EXPECT_EQ(read->matchers, silence.matchers);
  // A later end keeps the id; other matchers do not.
  read->ends_at = station.now + hours(3);
  EXPECT_EQ(*station.notifier->set_silence(*read, station.now), id);
  station.now = station.now + minutes(1);
  read->matchers = testing::matchers("alertname=Up");
  const std::string other = *station.notifier->set_silence(*read, station.now);
  EXPECT_NE(other, id);
  EXPECT_EQ(station.notifier->silence(id)->state_at(station.now), SilenceState::kExpired);
  EXPECT_TRUE(station.notifier->expire_silence(other, station.now).ok());
  EXPECT_TRUE(station.notifier->expire_silence(other, station.now).ok());
  EXPECT_EQ(station.notifier->expire_silence("none", station.now).code(), Code::kNotFound);
  // Kept for a while, then forgotten.
  station.pass(hours(119));
  EXPECT_EQ(station.notifier->silences().size(), 2u);
  station.pass(hours(2));
  station.notifier->run_due(station.now);
  EXPECT_TRUE(station.notifier->silences().empty());
}

TEST_F(NotifierTest, RefusesSilencesThatMakeNoSense) {
  const auto refused = [&](std::string_view text, Duration begins, Duration ends) {
    Silence silence;
    silence.matchers = testing::matchers(text);
    silence.starts_at = station.now + begins;
    silence.ends_at = station.now + ends;
    return station.notifier->set_silence(silence, station.now).status().message();
  };
  EXPECT_EQ(refused("", seconds(0), hours(1)), "silence invalid: at least one matcher required");
  EXPECT_EQ(refused("a=~\".*\"", seconds(0), hours(1)),
            "silence invalid: at least one matcher must not match the empty string");
  EXPECT_EQ(refused("a=b", hours(1), minutes(1)),
            "Failed to create silence: start time must be before end time");
}

TEST_F(NotifierTest, InhibitionMutesTheLesserAlert) {
  NotifierConfig config = simple_config("hook");
  config.inhibit_rules.push_back({testing::matchers("severity=page"),
                                  testing::matchers("severity=~\"ticket|page\""),
                                  {"slo"}});
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  const tsdb::Labels page{{"alertname", "Fast"}, {"severity", "page"}, {"slo", "x"}};
  const tsdb::Labels ticket{{"alertname", "Slow"}, {"severity", "ticket"}, {"slo", "x"}};
  const tsdb::Labels other{{"alertname", "Other"}, {"severity", "ticket"}, {"slo", "y"}};
  for (const tsdb::Labels& labels : {page, ticket, other}) ASSERT_TRUE(station.fire(labels).ok());
  station.pass(minutes(1));
  EXPECT_EQ(std::set<std::string>(station.told.begin(), station.told.end()),
            (std::set<std::string>{"firing: Fast", "firing: Other"}));
  ASSERT_TRUE(station.resolve(page).ok());
  station.pass(minutes(5));
  EXPECT_EQ(std::set<std::string>(station.told.begin() + 2, station.told.end()),
            (std::set<std::string>{"resolved: Fast!", "firing: Slow"}));
}

TEST_F(NotifierTest, MuteIntervalsHoldBackAndActiveOnesLetThrough) {
  NotifierConfig config = simple_config("hook");
  TimeInterval night;  // It is 22:13 UTC when the test begins.
  night.times = {{22 * 60, 23 * 60}};
  config.time_intervals["night"] = {night};
  config.root.mute_time_intervals = {"night"};
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  fire("Down");
  station.pass(minutes(46));
  EXPECT_EQ(station.told, Told());
  EXPECT_EQ(station.notifier->alerts(station.now)[0].muted_by, Told({"night"}));
  station.pass(minutes(10));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  config.root.mute_time_intervals.clear();
  config.root.active_time_intervals = {"night"};
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  fire("Later");
  station.pass(minutes(30));
  EXPECT_EQ(station.told.size(), 1u);
}

TEST_F(NotifierTest, RetriesWhatMayPassAndKeepsIdAndBody) {
  int failures = 0;
  station.answer = [&](const HttpFetch&) -> Result<HttpResponse> {
    switch (++failures) {
      case 1: return unavailable("connection refused");
      case 2: return timeout("context deadline exceeded");
      case 3: return HttpResponse{.status = 500, .body = "oops"};
      case 4: return HttpResponse{.status = 429, .headers = {{"Retry-After", "600"}}};
      default: return HttpResponse{};
    }
  };
  fire("Down");
  station.pass(minutes(2));
  const std::size_t before = station.sent.size();
  station.pass(hours(1));
  EXPECT_EQ(station.sent.size(), 5u);
  EXPECT_GE(before, 2u);
  for (const auto& [id, body] : station.sent) {
    EXPECT_EQ(id, station.sent[0].first);
    EXPECT_EQ(body, station.sent[0].second);
  }
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  const std::vector<NotificationStatus> history = station.notifier->notifications();
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(history[0].state, NotificationStatus::State::kDelivered);
  EXPECT_EQ(history[0].attempt_count, 5u);
}

TEST_F(NotifierTest, WhatIsRefusedBecomesADeadLetterThatCanBeReplayed) {
  bool is_broken = true;
  station.answer = [&](const HttpFetch&) -> Result<HttpResponse> {
    return HttpResponse{.status = is_broken ? 400 : 200, .body = "no such channel"};
  };
  fire("Down");
  station.pass(minutes(10));
  EXPECT_EQ(station.sent.size(), 1u);
  std::vector<NotificationStatus> all = station.notifier->notifications();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].state, NotificationStatus::State::kDead);
  EXPECT_EQ(all[0].error, "unexpected status code 400: no such channel");
  is_broken = false;
  EXPECT_EQ(station.notifier->replay("nonsense", station.now).status().code(), Code::kNotFound);
  EXPECT_EQ(*station.notifier->replay("", station.now), 1u);
  station.pass(seconds(1));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  EXPECT_EQ(station.sent[1], station.sent[0]);
}

TEST_F(NotifierTest, AReceiverThatIsGoneGetsNothingMore) {
  station.answer = [](const HttpFetch&) -> Result<HttpResponse> {
    return HttpResponse{.status = 410};
  };
  fire("Down");
  fire("Other");
  station.pass(hours(1));
  EXPECT_LE(station.sent.size(), 2u);
  const std::size_t sent = station.sent.size();
  fire("Third");
  station.pass(hours(1));
  EXPECT_EQ(station.sent.size(), sent);
}

TEST_F(NotifierTest, ResolvedNeverOvertakesFiring) {
  bool is_down = true;
  station.answer = [&](const HttpFetch&) -> Result<HttpResponse> {
    if (is_down) return unavailable("connection refused");
    return HttpResponse{};
  };
  fire("Down");
  station.pass(minutes(2));
  resolve("Down");
  station.pass(hours(3));
  is_down = false;
  station.pass(minutes(11));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!"}));
}

TEST_F(NotifierTest, RepetitionsDoNotPileUpBehindAnOutage) {
  bool is_down = true;
  station.answer = [&](const HttpFetch&) -> Result<HttpResponse> {
    if (is_down) return unavailable("connection refused");
    return HttpResponse{};
  };
  fire("Down");
  station.pass(hours(14));
  EXPECT_EQ(station.notifier->notifications().size(), 1u);
  is_down = false;
  station.pass(minutes(11));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
}

TEST_F(NotifierTest, AnAlertLandsWhereTheTreeSays) {
  NotifierConfig config = simple_config("root");
  Route team = config.root;
  team.receiver = "team";
  team.matchers = testing::matchers("team=db");
  Route all = config.root;
  all.receiver = "audit";
  all.matchers = testing::matchers("severity=~\"page|ticket\"");
  all.goes_on = true;
  Route page = config.root;
  page.receiver = "pager";
  page.matchers = testing::matchers("severity=page");
  team.children = {page};
  config.root.children = {all, team};
  testing::fill_keys(config.root);
  const auto receivers = [&](const tsdb::Labels& labels) {
    std::vector<std::string> out;
    for (const Route* route : matching_routes(config.root, labels)) {
      out.push_back(route->receiver + " " + route->key);
    }
    return out;
  };
  EXPECT_EQ(receivers(tsdb::Labels{{"alertname", "x"}}), Told({"root {}"}));
  EXPECT_EQ(receivers(tsdb::Labels{{"team", "db"}}), Told({"team {}/{team=\"db\"}"}));
  EXPECT_EQ(
      receivers(tsdb::Labels{{"team", "db"}, {"severity", "page"}}),
      Told({"audit {}/{severity=~\"page|ticket\"}", "pager {}/{team=\"db\"}/{severity=\"page\"}"}));
  EXPECT_EQ(receivers(tsdb::Labels{{"severity", "ticket"}}),
            Told({"audit {}/{severity=~\"page|ticket\"}"}));
}

TEST_F(NotifierTest, GroupByDotsKeepsEveryLabelApartAndNoneJoinsAll) {
  NotifierConfig config = simple_config("hook");
  config.root.group_by_all = true;
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  fire("Down", "a");
  fire("Down", "b");
  EXPECT_EQ(station.notifier->groups(station.now).size(), 2u);
  config.root.group_by_all = false;
  config.root.group_by.clear();
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  EXPECT_EQ(station.notifier->groups(station.now).size(), 1u);
}

TEST_F(NotifierTest, ARestartForgetsNothingAndRepeatsNothing) {
  fire("Down");
  station.pass(minutes(1));
  station.stop();
  station.now = station.now + minutes(2);
  ASSERT_TRUE(station.start(simple_config("hook")).ok());
  station.pass(hours(1));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  resolve("Down");
  station.pass(minutes(6));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!"}));
}

TEST_F(NotifierTest, AlertsAreNotOverBecauseWeWereAway) {
  ASSERT_TRUE(station.fire(alert("Down"), minutes(4)).ok());
  station.pass(minutes(1));
  station.stop();
  station.now = station.now + hours(1);
  ASSERT_TRUE(station.start(simple_config("hook")).ok());
  station.pass(minutes(4));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  station.pass(minutes(10));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!"}));
}

TEST_F(NotifierTest, PostedAlertsAreCheckedOneByOne) {
  std::vector<Alert> posted(3);
  posted[0].labels = alert("Down");
  posted[2].labels = alert("Other");
  posted[2].starts_at = station.now;
  posted[2].ends_at = station.now - minutes(1);
  const Status status = station.notifier->post_alerts(posted, station.now);
  EXPECT_EQ(status.message(),
            "at least one label pair required; start time must be before end time");
  ASSERT_EQ(station.notifier->alerts(station.now).size(), 1u);
  EXPECT_EQ(station.notifier->alerts(station.now)[0].alert.ends_at, station.now + minutes(5));
}

/// A day in which the receiver is away and the machine loses power at one operation; whoever
/// evaluates repeats what was not taken.
std::map<std::string, std::string> eventful_day(std::uint64_t cut_at, std::uint64_t seed,
                                                bool& was_cut, Told* told = nullptr) {
  auto disk = std::make_unique<tarsier::testing::FaultyFileSystem>();
  disk->cut_power_at(cut_at);
  auto station = std::make_unique<Station>(*disk);
  bool is_down = false;
  std::map<std::string, std::string> delivered;
  const auto attach = [&](Station& s) {
    s.answer = [&](const HttpFetch& fetch) -> Result<HttpResponse> {
      // Behind the cut there is no machine that could send.
      if (is_down || disk->power_is_cut()) return unavailable("connection refused");
      const std::string id = testing::header_of(fetch, "webhook-id");
      const auto [entry, is_new] = delivered.emplace(id, fetch.body);
      EXPECT_EQ(entry->second, fetch.body) << "one id with two contents";
      return HttpResponse{};
    };
  };
  attach(*station);
  was_cut = false;
  const auto check_power = [&] {
    if (was_cut || !disk->power_is_cut()) return;
    was_cut = true;
    const Timestamp now = station->now;
    std::unique_ptr<tarsier::testing::FaultyFileSystem> next = disk->after_power_cut(seed);
    Told so_far = station->told;
    station.reset();
    disk = std::move(next);
    station = std::make_unique<Station>(*disk, now);
    station->told = so_far;
    attach(*station);
    EXPECT_TRUE(station->start(simple_config("hook")).ok());
  };
  const Timestamp begin = station->now;
  if (!station->start(simple_config("hook")).ok()) check_power();
  struct Event {
    Duration at;
    const char* name;
    bool fires;
  };
  const Event events[] = {{minutes(1), "A", true},   {minutes(10), "B", true},
                          {minutes(40), "A", false}, {minutes(70), "C", true},
                          {minutes(90), "B", false}, {minutes(100), "A", true},
                          {minutes(150), "C", false}};
  Timestamp a_starts{0};
  for (Timestamp t = begin; t < begin + hours(4); t = t + minutes(1)) {
    is_down = t >= begin + minutes(30) && t < begin + hours(3);
    for (const Event& event : events) {
      if (begin + event.at != t) continue;
      Alert told_alert;
      told_alert.labels = alert(event.name);
      told_alert.starts_at = event.fires ? t : t - minutes(5);
      told_alert.updated_at = t;
      told_alert.ends_at = event.fires ? t + hours(9) : t;
      a_starts = told_alert.starts_at;
      const AlertBatch batch{.source = "t", .at = t, .position = {}, .alerts = {told_alert}};
      if (!station->notifier->deliver(batch).ok()) {
        check_power();
        EXPECT_TRUE(station->notifier->deliver(batch).ok());
      }
    }
    station->run_until(t);
    check_power();
    station->run_until(t + milliseconds(1));
    check_power();
    station->now = t + minutes(1);
    station->notifier->run_due(station->now);
    check_power();
  }
  if (told != nullptr) *told = station->told;
  return delivered;
}

TEST(NotifierCrash, APowerCutAtAnyOperationLosesNoNotification) {
  bool was_cut = false;
  Told told;
  const std::map<std::string, std::string> whole = eventful_day(0, 1, was_cut, &told);
  EXPECT_FALSE(was_cut);
  EXPECT_EQ(whole.size(), 7u);
  std::uint64_t cuts = 0;
  for (std::uint64_t at = 1; at < 10'000; ++at) {
    SCOPED_TRACE(at);
    const std::map<std::string, std::string> cut = eventful_day(at, at * 7 + 3, was_cut);
    if (!was_cut) break;
    ++cuts;
    std::set<std::string> ids;
    std::set<std::string> cut_ids;
    for (const auto& [id, body] : whole) ids.insert(id);
    for (const auto& [id, body] : cut) cut_ids.insert(id);
    EXPECT_EQ(cut_ids, ids);
    if (HasFailure()) break;
  }
  std::printf("%llu power cuts\n", static_cast<unsigned long long>(cuts));
  EXPECT_GT(cuts, 50u);
}

TEST(NotifierOutage, ADayWithoutAReceiverAndAKillInItsMiddleLoseNothing) {
  auto disk = std::make_unique<tarsier::testing::FaultyFileSystem>();
  auto station = std::make_unique<Station>(*disk);
  const Timestamp begin = station->now;
  bool is_down = false;
  std::map<std::string, std::string> contents;
  const auto attach = [&] {
    station->answer = [&](const HttpFetch& fetch) -> Result<HttpResponse> {
      const std::string id = testing::header_of(fetch, "webhook-id");
      EXPECT_EQ(contents.emplace(id, fetch.body).first->second, fetch.body);
      if (is_down) return unavailable("connection refused");
      return HttpResponse{};
    };
  };
  ASSERT_TRUE(station->start(simple_config("hook")).ok());
  attach();
  std::vector<std::pair<tsdb::Labels, Timestamp>> started;
  const auto tell = [&](int i, bool fires) {
    Alert one;
    one.labels = alert("Alert" + std::to_string(i));
    one.starts_at = fires ? station->now : started[static_cast<std::size_t>(i)].second;
    one.updated_at = station->now;
    one.ends_at = fires ? station->now + days(3) : station->now;
    if (fires) started.emplace_back(one.labels, station->now);
    EXPECT_TRUE(station->notifier->deliver({"t", station->now, {}, {one}}).ok());
  };
  // Each fires for an hour, one after the other, while nobody listens.
  for (int i = 0; i < 96; ++i) {
    is_down = i > 0;
    tell(i, true);
    station->pass(minutes(15));
    if (i >= 4) tell(i - 4, false);
    if (i != 48) continue;
    std::unique_ptr<tarsier::testing::FaultyFileSystem> after = disk->after_process_crash();
    const Timestamp now = station->now;
    const Told so_far = station->told;
    station.reset();
    disk = std::move(after);
    station = std::make_unique<Station>(*disk, now);
    station->told = so_far;
    ASSERT_TRUE(station->start(simple_config("hook")).ok());
    attach();
  }
  EXPECT_EQ(station->now, begin + hours(24));
  EXPECT_EQ(station->told.size(), 1u);
  is_down = false;
  station->pass(minutes(20));
  std::multiset<std::string> told(station->told.begin(), station->told.end());
  for (int i = 0; i < 96; ++i) {
    const std::string name = "Alert" + std::to_string(i);
    EXPECT_EQ(told.count("firing: " + name), 1u) << name;
    EXPECT_EQ(told.count("resolved: " + name + "!"), i < 92 ? 1u : 0u) << name;
  }
  for (const NotificationStatus& status : station->notifier->notifications()) {
    EXPECT_EQ(status.state, NotificationStatus::State::kDelivered);
  }
}

TEST(Attempt, SignsAsStandardWebhooks) {
  const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  EXPECT_EQ(*webhook_signature({secret}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                               R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  EXPECT_FALSE(webhook_signature({"secret"}, "a", 1, "b").ok());
  EXPECT_FALSE(webhook_signature({"whsec_AAAA"}, "a", 1, "b").ok());
}

TEST(Attempt, HeedsRetryAfter) {
  const Timestamp now{784'111'777'000 - 60'000};
  const Outcome capped = outcome_of(
      HttpResponse{.status = 503, .headers = {{"retry-after", "86400"}}}, IntegrationConfig{}, now);
  EXPECT_EQ(capped.retry_after, hours(1));
}

TEST(Attempt, WhatAnAnswerMeans) {
  const auto kind = [](int status) {
    return outcome_of(HttpResponse{.status = status}, IntegrationConfig{}, Timestamp{0}).kind;
  };
  for (const int status : {200, 202, 204}) EXPECT_EQ(kind(status), Outcome::Kind::kDelivered);
  for (const int status : {408, 425, 429, 500, 503}) EXPECT_EQ(kind(status), Outcome::Kind::kRetry);
  for (const int status : {301, 400, 401, 404, 413}) EXPECT_EQ(kind(status), Outcome::Kind::kDead);
  EXPECT_EQ(kind(410), Outcome::Kind::kGone);
  IntegrationConfig slack;
  slack.kind = IntegrationKind::kSlack;
  EXPECT_EQ(outcome_of(HttpResponse{.content_type = "application/json",
                                    .body = R"({"ok":false,"error":"channel_not_found"})"},
                       slack, Timestamp{0})
                .error,
            "Slack refused it: channel_not_found");
  IntegrationConfig duty;
  duty.kind = IntegrationKind::kPagerduty;
  const auto limited = [&] {
    return outcome_of(HttpResponse{.status = 403}, duty, Timestamp{0}).kind;
  };
  EXPECT_EQ(limited(), Outcome::Kind::kDead);
  duty.service_key.text = "old";  // There, 403 is what 429 is elsewhere.
  EXPECT_EQ(limited(), Outcome::Kind::kRetry);
}

TEST(Attempt, RefusesAddressesThatHandOutCredentials) {
  tarsier::testing::FaultyFileSystem disk;
  for (const char* url : {"http://169.254.169.254/latest", "http://[fe80::1]/",
                          "http://metadata.google.internal/", "nonsense"}) {
    IntegrationConfig integration;
    integration.url.text = url;
    EXPECT_FALSE(make_request(disk, {}, integration, seconds(10), Timestamp{0}).ok()) << url;
  }
}

TEST(MatcherText, ReadsWhatAlertmanagerReads) {
  const auto text = [](std::string_view input) {
    const auto parsed = parse_alert_matchers(input);
    if (!parsed.ok()) return parsed.status().message();
    return matchers_text(*parsed);
  };
  EXPECT_EQ(text(R"({foo="bar"})"), R"({foo="bar"})");
  EXPECT_EQ(text(R"(foo=bar, a!=b , c =~ "x,y", d!~z)"), R"({foo="bar",a!="b",c=~"x,y",d!~"z"})");
  EXPECT_EQ(text(R"(foo="a\"b\\c\nd")"), R"({foo="a\"b\\c\nd"})");
  EXPECT_EQ(text(R"("my.label"="x")"), R"({"my.label"="x"})");
  EXPECT_EQ(text(""), "{}");
  EXPECT_EQ(text("foo"), "bad matcher format: foo");
  EXPECT_EQ(text("foo=\"bar"), "matcher value contains unescaped double quote: foo=\"bar");
}

}  // namespace
}  // namespace tarsier::alerting
