#include "alerting/notifier/notification.h"

#include <gtest/gtest.h>

#include "alerting/notifier/body.h"
#include "alerting/time_interval.h"
#include "base/posix_file.h"
#include "base/rfc3339.h"

namespace tarsier::alerting {
namespace {

Notification sample() {
  Notification n;
  n.receiver = "web.hook";
  n.group_key = "{}:{alertname=\"Down\"}";
  n.reason = "first notification";
  n.external_url = "http://tarsier:9090";
  n.group_labels = tsdb::Labels{{"alertname", "Down"}};
  for (const char* instance : {"b", "a"}) {
    NotifiedAlert alert;
    alert.alert.labels = tsdb::Labels{{"alertname", "Down"}, {"instance", instance}, {"job", "j"}};
    alert.alert.annotations = {{"summary", "<" + std::string(instance) + ">"}, {"url", "u"}};
    alert.alert.starts_at = *parse_rfc3339("2026-01-02T03:04:05.678Z");
    alert.alert.ends_at = alert.alert.starts_at + minutes(5);
    alert.alert.generator_url = "http://g?a&b";
    n.alerts.push_back(alert);
  }
  n.alerts[1].is_resolved = true;
  n.at = *parse_rfc3339("2026-01-02T03:10:05Z");
  n.route_labels = tsdb::Labels{{"team", "db"}};
  sort_alerts(n.alerts);
  return n;
}

std::string expand(std::string_view text) {
  const auto templates = NotificationTemplates::create({});
  const Notification n = sample();
  const Result<std::string> out = templates->expand(text, notification_value(n), n);
  return out.ok() ? *out : out.status().message();
}

TEST(Notification, TemplatesSeeAlertmanagersData) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ .Receiver }} {{ .Status }} {{ .ExternalURL }}", "web.hook firing http://tarsier:9090"},
      {"{{ len .Alerts }} {{ len .Alerts.Firing }} {{ len .Alerts.Resolved }}", "2 1 1"},
      {"{{ .GroupLabels.SortedPairs.Values | join \",\" }}", "Down"},
      {"{{ .CommonLabels.SortedPairs }}", "[{alertname Down} {job j}]"},
      {"{{ .CommonLabels.Names | join \" \" }} {{ (.CommonLabels.Remove (stringSlice "
       "\"job\")).Names }}",
       "alertname job [alertname]"},
      {"{{ .CommonAnnotations.url }}{{ .CommonAnnotations.summary }}", "u"},
      {"{{ range .Alerts }}{{ .Labels.instance }}:{{ .Status }} {{ end }}", "a:resolved b:firing "},
      {"{{ (index .Alerts 0).StartsAt.Format \"2006-01-02 15:04:05.000 MST\" }}",
       "2026-01-02 03:04:05.678 UTC"},
      {"{{ (index .Alerts 0).EndsAt.Sub (index .Alerts 0).StartsAt }}", "5m0s"},
      {"{{ (index .Alerts 1).EndsAt }}", "0001-01-01 00:00:00 +0000 UTC"},
      {"{{ since (index .Alerts 0).StartsAt | humanizeDuration }}", "5m 59s"},
      {"{{ (index .Alerts 0).StartsAt | date \"15:04\" }}", "03:04"},
      {"{{ (index .Alerts 0).Fingerprint | len }} {{ (index .Alerts 0).GeneratorURL }}",
       "16 http://g?a&b"},
      {"{{ title \"ab cd\" }} {{ trimSpace \" x \" }} {{ toUpper \"a\" }} {{ list 1 \"a\" | toJson "
       "}}",
       "Ab Cd x A [1,\"a\"]"},
      {"{{ urlUnescape \"a%2Fb+c\" }} {{ base64encode \"a?>~\" }} {{ base64decode \"YT8-fg==\" }}",
       "a/b c YT8-fg== a?>~"},
      {"{{ now.Format \"15:04:05\" }}", "03:10:05"},
      {"{{ routeLabels \"team\" }}/{{ routeLabels \"none\" }}", "db/"},
      {"{{ template \"slack.default.title\" . }}", "[FIRING:1] Down (j)"},
      {"{{ template \"slack.default.titlelink\" . }}",
       "http://tarsier:9090/#/alerts?receiver=web.hook"},
      {"{{ template \"pagerduty.default.instances\" .Alerts.Firing }}",
       "Labels:\n - alertname = Down\n - instance = b\n - job = j\nAnnotations:\n - summary = <b>\n"
       " - url = u\nSource: http://g?a&b\n"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(expand(text), want) << text;
}

TEST(Notification, SlackAndPagerDutyBodies) {
  IntegrationConfig slack;
  slack.kind = IntegrationKind::kSlack;
  slack.texts = {{"channel", "#ops"},
                 {"title", "{{ template \"slack.default.title\" . }}"},
                 {"color", "{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}"},
                 {"text", "{{ .NoSuchField }}"}};
  slack.fields = {{{"title", "Where"}, {"value", "{{ .CommonLabels.job }}"}}};
  const auto templates = NotificationTemplates::create({});
  const Body body = make_body(slack, *templates, sample());
  EXPECT_FALSE(body.template_error.ok());  // The page goes out all the same.
  EXPECT_TRUE(body.text.starts_with(
      R"x({"channel":"#ops","attachments":[{"title":"[FIRING:1] Down (j)","text":"\u003cerror)x"))
      << body.text;
  EXPECT_NE(body.text.find(R"("fields":[{"title":"Where","value":"j","short":false}])"),
            std::string::npos);
  IntegrationConfig duty;
  duty.kind = IntegrationKind::kPagerduty;
  duty.texts = {{"description", "{{ template \"__subject\" . }}"}, {"source", "me"}};
  duty.details = {{"num_firing", "{{ .Alerts.Firing | len }}"}};
  Notification n = sample();
  EXPECT_EQ(
      with_secret(make_body(duty, *templates, n).text, "routing_key", "key"),
      R"({"routing_key":"key","dedup_key":)"
      R"("af94c9e8f6a3043625e36c6f472fe6be85ac23a9117184ee4cb7b4ad7401a47e",)"
      R"x("event_action":"trigger","payload":{"summary":"[FIRING:1] Down (j)","source":"me",)x"
      R"("severity":"error","custom_details":{"num_firing":"1"}},"client":"","client_url":""})"
      "\n");
  n.alerts.erase(n.alerts.begin() + 1);
  EXPECT_NE(make_body(duty, *templates, n).text.find("\"event_action\":\"resolve\"}"),
            std::string::npos);
}

TEST(Notification, PagerDutysOlderApi) {
  IntegrationConfig duty;
  duty.kind = IntegrationKind::kPagerduty;
  duty.service_key.text = "old";
  duty.texts = {{"description", "{{ template \"__subject\" . }}"}, {"client", "me"}};
  duty.details = {{"num_firing", "{{ .Alerts.Firing | len }}"}};
  const auto templates = NotificationTemplates::create({});
  EXPECT_EQ(make_body(duty, *templates, sample()).text,
            R"({"incident_key":)"
            R"("af94c9e8f6a3043625e36c6f472fe6be85ac23a9117184ee4cb7b4ad7401a47e",)"
            R"x("event_type":"trigger","description":"[FIRING:1] Down (j)","client":"me",)x"
            R"("details":{"num_firing":"1"}})"
            "\n");
}

TEST(Notification, PagerDutyEventsAreNotTooLong) {
  IntegrationConfig duty;
  duty.kind = IntegrationKind::kPagerduty;
  duty.details = {{"long", std::string(600'000, 'x')}};
  const auto templates = NotificationTemplates::create({});
  const std::string body = make_body(duty, *templates, sample()).text;
  EXPECT_LT(body.size(), 2000u);
  EXPECT_NE(body.find("exceeds the maximum size of 512KB"), std::string::npos) << body;
}

PayloadValue text_value(std::string text) {
  return {.kind = PayloadValue::Kind::kText, .text = std::move(text), .items = {}, .names = {}};
}

TEST(Notification, APayloadStandsInForVersionFour) {
  PayloadValue list{.kind = PayloadValue::Kind::kList, .text = {}, .items = {}, .names = {}};
  list.items = {text_value("{{ .Alerts | len }}"), text_value("a \"b\" {{ .Status }}"),
                text_value("{{ .CommonLabels.job | toJson }}")};
  auto payload = std::make_shared<PayloadValue>();
  payload->kind = PayloadValue::Kind::kMap;
  payload->names = {"text", "{{ .Status }}", "labels", "broken"};
  payload->items = {text_value("{{ template \"slack.default.title\" . }}"), list,
                    text_value("{{ .CommonLabels | toJson }}"), text_value("{{ .NoSuchField }}")};
  IntegrationConfig webhook;
  webhook.payload = payload;
  const Body body = make_body(webhook, *NotificationTemplates::create({}), sample());
  EXPECT_FALSE(body.template_error.ok());
  EXPECT_TRUE(body.text.starts_with(
      R"x({"text":"[FIRING:1] Down (j)","firing":[2,"a \"b\" firing","\"j\""],)x"
      R"x("labels":{"alertname":"Down","job":"j"},"broken":"<error expanding template: )x"))
      << body.text;
}

TEST(Notification, WebhooksQuoteTheReceiverAndCutTheList) {
  IntegrationConfig webhook;
  webhook.alerts_max = 1;
  const std::string body = webhook_body(webhook, sample());
  EXPECT_TRUE(body.starts_with(R"({"receiver":"web\\.hook","status":"firing","alerts":[)")) << body;
  EXPECT_NE(body.find("\"truncatedAlerts\":1}\n"), std::string::npos);
  EXPECT_NE(body.find(R"("summary":"\u003ca\u003e")"), std::string::npos);
  EXPECT_NE(body.find(R"("endsAt":"2026-01-02T03:09:05.678Z")"), std::string::npos);
  webhook.quotes_receiver = false;
  EXPECT_TRUE(webhook_body(webhook, sample()).starts_with(R"({"receiver":"web.hook",)"));
}

Timestamp at(const char* text) { return *parse_rfc3339(text); }

TEST(TimeInterval, HoldsWhenEveryPartDoes) {
  TimeInterval interval;
  interval.times = {{9 * 60, 17 * 60}};
  interval.weekdays = {*parse_weekday_range("Monday:friday")};
  interval.months = {*parse_month_range("january:march")};
  interval.days_of_month = {*parse_day_of_month_range("-7:-1")};
  EXPECT_TRUE(interval.contains(at("2026-01-30T09:00:00Z")));   // A Friday, second to last.
  EXPECT_FALSE(interval.contains(at("2026-01-30T17:00:00Z")));  // The end is not in it.
  EXPECT_FALSE(interval.contains(at("2026-01-31T09:00:00Z")));  // A Saturday.
  EXPECT_FALSE(interval.contains(at("2026-01-23T09:00:00Z")));  // Too early in the month.
  EXPECT_TRUE(interval.contains(at("2026-02-27T12:00:00Z")));
  EXPECT_FALSE(interval.contains(at("2026-04-30T12:00:00Z")));
  for (const char* text : {"funday", "friday:monday"}) EXPECT_FALSE(parse_weekday_range(text).ok());
  for (const char* text : {"0", "32", "-1:5", "5:1"})
    EXPECT_FALSE(parse_day_of_month_range(text).ok());
  for (const char* text : {"13", "march:january"}) EXPECT_FALSE(parse_month_range(text).ok());
  for (const char* text : {"24:01", "9:00", "x"}) EXPECT_FALSE(parse_minute_of_day(text).ok());
  EXPECT_EQ(*parse_minute_of_day("24:00"), 1440);
}

TEST(TimeInterval, FollowsTheClocksOfAPlace) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const Result<TimeZone> berlin = TimeZone::load(*files, "Europe/Berlin");
  if (!berlin.ok()) GTEST_SKIP() << "this machine has no time zones";
  const auto offset = [&](const char* text) { return berlin->offset_at(at(text).ms / 1000); };
  EXPECT_EQ(offset("2026-01-15T12:00:00Z").seconds, 3600);
  EXPECT_EQ(offset("2026-07-15T12:00:00Z").seconds, 7200);
  EXPECT_EQ(offset("2026-07-15T12:00:00Z").abbreviation, "CEST");
  EXPECT_EQ(offset("2026-03-29T00:59:59Z").seconds, 3600);
  EXPECT_EQ(offset("2026-03-29T01:00:00Z").seconds, 7200);
  // Beyond the table, by rule.
  EXPECT_EQ(offset("2099-07-15T12:00:00Z").seconds, 7200);
  EXPECT_EQ(offset("2099-12-15T12:00:00Z").seconds, 3600);
  EXPECT_FALSE(TimeZone::load(*files, "Nowhere").ok());
  EXPECT_FALSE(TimeZone::load(*files, "../../etc/passwd").ok());
}

}  // namespace
}  // namespace tarsier::alerting
