#include "alerting/notifier_api.h"

#include <gtest/gtest.h>

#include "base/json_reader.h"
#include "tests/alerting/notifier_station.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::alerting {
namespace {

using testing::simple_config;
using testing::Station;

class NotifierApiTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(station.start(simple_config("hook")).ok()); }

  NotifierApi api() const { return NotifierApi(*station.notifier, {.version = "1"}); }
  HttpRequest request(std::string body = "") const {
    HttpRequest out;
    out.received = station.now;
    out.body = std::move(body);
    return out;
  }
  HttpRequest filtered(std::string name, std::string value) const {
    HttpRequest out = request();
    out.parameters = {{std::move(name), std::move(value)}};
    return out;
  }
  /// The id of what was posted.
  std::string post_silence(const std::string& rest) {
    const HttpResponse response = api().post_silence(
        request(R"({"matchers":[{"name":"alertname","value":"A","isRegex":false}],)"
                R"("createdBy":"me","comment":"c",)" +
                rest + "}"));
    EXPECT_EQ(response.status, 200) << response.body;
    const Result<JsonValue> json = parse_json(response.body);
    return json.ok() && json->find("silenceID") ? *json->find("silenceID")->as_string() : "";
  }
  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++n;
    }
    return n;
  }

  tarsier::testing::FaultyFileSystem disk;
  Station station{disk, Timestamp{1'700'000'000'000}};
};

TEST_F(NotifierApiTest, RefusesWhatIsNoAlertAndTakesTheRest) {
  EXPECT_EQ(api().post_alerts(request("{}")).status, 400);
  EXPECT_EQ(api().post_alerts(request("[1, {}, null, \"x\"]")).status, 400);
  EXPECT_EQ(api().post_alerts(request(R"([{"labels":["a"]}])")).status, 400);
  const HttpResponse some =
      api().post_alerts(request(R"([{"labels":{"alertname":"A"},"annotations":["x"]},)"
                                R"({"labels":{"alertname":"A"},"annotations":null},)"
                                R"({"labels":{"alertname":"B"},"startsAt":"soon"}])"));
  EXPECT_EQ(some.status, 400);
  EXPECT_NE(some.body.find("annotations in body must be an object"), std::string::npos);
  const std::string shown = api().alerts(request()).body;
  EXPECT_EQ(count(shown, "\"fingerprint\""), 1u) << shown;
  EXPECT_EQ(count(shown, R"("endsAt":"2023-11-14T22:18:20.000Z")"), 1u) << shown;
}

TEST_F(NotifierApiTest, ShowsAlertsAsAlertmanagerDoes) {
  ASSERT_EQ(api()
                .post_alerts(request(R"([{"labels":{"alertname":"A","n":"1"},)"
                                     R"("annotations":{"summary":"s"},)"
                                     R"("startsAt":"2023-11-14T22:00:00Z",)"
                                     R"("generatorURL":"http://g/"}])"))
                .status,
            200);
  EXPECT_EQ(api().alerts(request()).body,
            R"([{"annotations":{"summary":"s"},"endsAt":"2023-11-14T22:18:20.000Z",)"
            R"("fingerprint":"4286ff98cb992798","receivers":[{"name":"hook"}],)"
            R"("startsAt":"2023-11-14T22:00:00.000Z","status":{"inhibitedBy":[],"mutedBy":[],)"
            R"("silencedBy":[],"state":"active"},"updatedAt":"2023-11-14T22:13:20.000Z",)"
            R"("generatorURL":"http://g/","labels":{"alertname":"A","n":"1"}}])"
            "\n");
  const auto shown = [&](const char* name, const char* value) {
    return count(api().alerts(filtered(name, value)).body, "fingerprint");
  };
  EXPECT_EQ(shown("filter", "n=1"), 1u);
  EXPECT_EQ(shown("filter", "{n=~\"2|3\"}"), 0u);
  EXPECT_EQ(shown("receiver", "ho.*"), 1u);
  EXPECT_EQ(shown("receiver", "ho"), 0u);
  EXPECT_EQ(api().alerts(filtered("filter", "n")).status, 400);
  EXPECT_EQ(api().alerts(filtered("active", "maybe")).status, 400);
  const std::string groups = api().groups(request()).body;
  EXPECT_NE(
      groups.find(R"("labels":{"alertname":"A"},"receiver":{"name":"hook"},"routeLabels":{}})"),
      std::string::npos)
      << groups;
}

TEST_F(NotifierApiTest, WhatATimeIntervalMutesIsSuppressed) {
  NotifierConfig config = simple_config("hook");
  TimeInterval night;  // It is 22:13 UTC when the test begins.
  night.times = {{22 * 60, 23 * 60}};
  config.time_intervals["night"] = {night};
  config.time_intervals["day"] = {};
  Route muted = config.root;
  muted.matchers = testing::matchers("{team=\"db\"}");
  muted.mute_time_intervals = {"night"};
  Route inactive = config.root;
  inactive.matchers = testing::matchers("{team=\"net\"}");
  inactive.active_time_intervals = {"day"};
  config.root.children = {muted, inactive};
  testing::fill_keys(config.root);
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  const auto shown = [&](const std::string& team) {
    EXPECT_TRUE(station.fire(tsdb::Labels{{"alertname", "A"}, {"team", team}}).ok());
    const std::string alerts = api().alerts(filtered("filter", "team=" + team)).body;
    const std::string groups = api().groups(filtered("filter", "team=" + team)).body;
    const std::string status = alerts.substr(alerts.find("\"status\""));
    const std::string part = status.substr(0, status.find('}') + 1);
    EXPECT_NE(groups.find(part), std::string::npos) << groups;
    return part;
  };
  EXPECT_EQ(shown("db"), R"("status":{"inhibitedBy":[],"mutedBy":["night"],"silencedBy":[],)"
                         R"("state":"suppressed"})");
  EXPECT_EQ(shown("net"), R"("status":{"inhibitedBy":[],"mutedBy":["day"],"silencedBy":[],)"
                          R"("state":"suppressed"})");
  EXPECT_EQ(shown("web"), R"("status":{"inhibitedBy":[],"mutedBy":[],"silencedBy":[],)"
                          R"("state":"active"})");
  EXPECT_EQ(count(api().groups(filtered("muted", "false")).body, "fingerprint"), 1u);
  EXPECT_EQ(count(api().alerts(filtered("active", "false")).body, "fingerprint"), 0u);
}

TEST_F(NotifierApiTest, RouteLabelsAreTemplatesOverTheGroup) {
  NotifierConfig config = simple_config("hook");
  config.root.route_labels = {{"a", "{{ routeLabels \"b\" }}"},  // A circle.
                              {"b", "{{ routeLabels \"a\" }}"},
                              {"bad", "{{ .Nope.Nope }}"},
                              {"book", "{{ routeLabels \"page\" }}!"},
                              {"page", "{{ .CommonLabels.team }} {{ len .Alerts.Firing }}"}};
  ASSERT_TRUE(
      station.notifier->configure(std::make_shared<NotifierConfig>(config), station.now).ok());
  ASSERT_TRUE(station.fire(tsdb::Labels{{"alertname", "A"}, {"team", "db"}}).ok());
  EXPECT_NE(api().groups(request()).body.find(R"("routeLabels":{"book":"db 1!","page":"db 1"})"),
            std::string::npos);
  station.pass(minutes(1));
  ASSERT_EQ(station.sent.size(), 1u);
  EXPECT_NE(station.sent[0].second.find(R"("routeLabels":{"book":"db 1!","page":"db 1"})"),
            std::string::npos)
      << station.sent[0].second;
}

TEST_F(NotifierApiTest, ASilenceLivesAsAtAlertmanager) {
  const std::string id =
      post_silence(R"("startsAt":"2023-11-14T22:13:20Z","endsAt":"2023-11-14T23:13:20Z")");
  ASSERT_TRUE(station.fire(tsdb::Labels{{"alertname", "A"}}).ok());
  EXPECT_NE(api().alerts(request()).body.find("\"silencedBy\":[\"" + id + "\"],\"state\":\"sup"),
            std::string::npos);
  EXPECT_EQ(count(api().alerts(filtered("silenced", "false")).body, "fingerprint"), 0u);
  // Longer: the same silence. Other matchers: another.
  EXPECT_EQ(post_silence(R"("startsAt":"2023-11-14T22:13:20Z","endsAt":"2023-11-15T23:13:20Z",)"
                         R"("id":")" +
                         id + "\""),
            id);
  EXPECT_NE(api().silence(request(), id).body.find(R"("status":{"state":"active"})"),
            std::string::npos);
  EXPECT_EQ(count(api().silences(filtered("filter", "alertname=A")).body, "\"id\""), 1u);
  EXPECT_EQ(count(api().silences(filtered("filter", "alertname=B")).body, "\"id\""), 0u);
  EXPECT_EQ(count(api().silences(filtered("filter", "alertname=~A")).body, "\"id\""), 0u);
  EXPECT_EQ(api().delete_silence(request(), id).status, 200);
  EXPECT_EQ(api().delete_silence(request(), id).status, 200);
  EXPECT_NE(api().silence(request(), id).body.find(R"("status":{"state":"expired"})"),
            std::string::npos);
  const std::string other = "11111111-1111-4111-8111-111111111111";
  EXPECT_EQ(api().silence(request(), other).status, 404);
  EXPECT_EQ(api().delete_silence(request(), other).status, 404);
  EXPECT_EQ(api().silence(request(), "no").status, 422);
  EXPECT_EQ(api().delete_silence(request(), "no").body,
            R"({"code":601,"message":"silenceID in path must be of type uuid: \"no\""})"
            "\n");
  for (const char* body : {"", "[]", "{}", R"({"matchers":[{"name":"a","value":""}]})",
                           R"({"matchers":["a"],"startsAt":"x"})"}) {
    EXPECT_EQ(api().post_silence(request(body)).status, 400) << body;
  }
}

TEST_F(NotifierApiTest, ASilenceMayExclude) {
  EXPECT_EQ(api()
                .post_silence(request(
                    R"({"matchers":[{"name":"a","value":"b","isRegex":false,"isEqual":false}],)"
                    R"("startsAt":"2023-11-14T22:13:20Z","endsAt":"2023-11-14T23:13:20Z",)"
                    R"("createdBy":"me","comment":"c"})"))
                .status,
            200);
}

TEST_F(NotifierApiTest, SaysHowItIs) {
  const std::string status = api().status(request()).body;
  EXPECT_NE(status.find(R"("cluster":{"name":"","peers":[],"status":"disabled"})"),
            std::string::npos);
  EXPECT_EQ(api().receivers(request()).body, "[{\"name\":\"hook\",\"labels\":{}}]\n");
  EXPECT_EQ(api().receivers(filtered("receiver_matchers", "owner=me")).body, "[]\n");
  EXPECT_EQ(api().replay(filtered("id", "x")).status, 404);
}

}  // namespace
}  // namespace tarsier::alerting
