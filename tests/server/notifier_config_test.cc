#include "server/notifier_config.h"

#include <gtest/gtest.h>

#include "server/cli_alert.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::server {
namespace {

constexpr std::string_view kWhole = R"(global:
  resolve_timeout: 10m
  slack_api_url: http://slack/secret
  smtp_smarthost: mail:25
templates: ['*.tmpl']
time_intervals:
- name: nights
  time_intervals:
  - times: [{start_time: '22:00', end_time: '24:00'}]
    weekdays: ['monday:friday', sunday]
    days_of_month: ['1:5', '-3:-1']
    months: ['january:march', '12']
    years: ['2026:2030']
route:
  receiver: team
  group_by: [alertname]
  group_wait: 10s
  repeat_interval: 1h
  routes:
  - matchers: ['severity="page"', 'team=~"db|net"']
    receiver: pager
    group_by: ['...']
    continue: true
    mute_time_intervals: [nights]
    routes:
    - match: {env: prod}
      match_re: {zone: 'a.*'}
receivers:
- name: team
  slack_configs:
  - channel: '#ops'
    title: '{{ template "my.title" . }}'
    fields: [{title: Where, value: '{{ .CommonLabels.instance }}', short: true}]
- name: pager
  webhook_configs:
  - {url: 'http://bridge/', max_alerts: 5, signature_secret_files: [secret], send_resolved: false}
  pagerduty_configs:
  - {routing_key: topsecret, severity: critical, details: {extra: more}}
inhibit_rules:
- source_match: {severity: page}
  target_match_re: {severity: ticket|info}
  equal: [slo]
)";

class NotifierConfigTest : public ::testing::Test {
 protected:
  NotifierConfigTest() {
    EXPECT_TRUE(disk.create_directories("etc").ok());
    EXPECT_TRUE(write_file_atomically(disk, "etc/my.tmpl",
                                      "{{ define \"my.title\" }}T{{ .Status }}{{ end }}")
                    .ok());
  }
  Result<alerting::NotifierConfig> parse(std::string_view text) {
    return parse_notifier_config(text, {.file = "etc/am.yml", .files = &disk, .environment = {}});
  }
  std::string error_of(std::string_view text) { return parse(text).status().message(); }

  tarsier::testing::FaultyFileSystem disk;
};

TEST_F(NotifierConfigTest, ReadsAlertmanagersTree) {
  const Result<alerting::NotifierConfig> config = parse(kWhole);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->resolve_timeout, minutes(10));
  ASSERT_EQ(config->receivers.size(), 2u);
  const alerting::IntegrationConfig& slack = config->receivers[0].integrations.at(0);
  EXPECT_EQ(slack.url.text, "http://slack/secret");
  EXPECT_FALSE(slack.send_resolved);
  EXPECT_EQ(slack.text("channel"), "#ops");
  EXPECT_EQ(slack.text("title"), "{{ template \"my.title\" . }}");
  const alerting::IntegrationConfig& webhook = config->receivers[1].integrations.at(0);
  EXPECT_EQ(webhook.alerts_max, 5u);
  EXPECT_EQ(webhook.signing_secret_files, std::vector<std::string>{"etc/secret"});
  const alerting::IntegrationConfig& duty = config->receivers[1].integrations.at(1);
  EXPECT_EQ(duty.url.text, "https://events.pagerduty.com/v2/enqueue");
  EXPECT_EQ(duty.details.size(), 5u);
  const alerting::Route& page = config->root.children.at(0);
  EXPECT_EQ(page.key, "{}/{severity=\"page\",team=~\"db|net\"}");
  EXPECT_TRUE(page.goes_on);
  EXPECT_TRUE(page.group_by_all);
  EXPECT_EQ(page.group_wait, seconds(10));
  EXPECT_EQ(page.group_interval, minutes(5));
  EXPECT_EQ(page.children.at(0).receiver, "pager");
  EXPECT_TRUE(page.children.at(0).mute_time_intervals.empty());  // Not inherited.
  EXPECT_EQ(page.children.at(0).key,
            "{}/{severity=\"page\",team=~\"db|net\"}/{env=\"prod\",zone=~\"a.*\"}");
  EXPECT_EQ(config->inhibit_rules.at(0).equal, std::vector<std::string>{"slo"});
  EXPECT_EQ(config->templates.size(), 1u);
  EXPECT_EQ(config->time_intervals.at("nights").at(0).weekdays.size(), 2u);
}

TEST_F(NotifierConfigTest, ShowsItWithoutSecretsAndOwnKeysAsComments) {
  const std::string shown = parse(kWhole)->shown;
  EXPECT_EQ(shown.find("topsecret"), std::string::npos);
  EXPECT_EQ(shown.find("slack/secret"), std::string::npos);
  EXPECT_NE(shown.find("\n#         signature_secret_files:\n#           - secret\n"),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("url: http://bridge/\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("routing_key: <secret>"), std::string::npos) << shown;
  // What is shown reads back, as amtool will.
  const Result<YamlNode> again = parse_yaml(shown);
  ASSERT_TRUE(again.ok()) << shown;
  std::string bare = shown;
  for (std::size_t at = bare.find("\n#"); at != std::string::npos; at = bare.find("\n#")) {
    bare.erase(at, bare.find('\n', at + 1) - at);
  }
  EXPECT_EQ(shown_notifier_yaml(*again), bare);
}

TEST_F(NotifierConfigTest, ShowsWhereAWebhookIsWithoutItsSecret) {
  const auto shown = [&](const std::string& url) {
    const std::string text = parse(
                                 "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: "
                                 "[{url: '" +
                                 url + "'}]}]")
                                 ->shown;
    const std::size_t at = text.find("url: ") + 5;
    return text.substr(at, text.find('\n', at) - at);
  };
  EXPECT_EQ(shown("http://bridge:80/"), "http://bridge:80/");
  EXPECT_EQ(shown("http://bridge/hook/SECRET"), "http://bridge/<secret>");
  EXPECT_EQ(shown("http://me:SECRET@bridge?key=SECRET"), "http://bridge/<secret>");
}

TEST_F(NotifierConfigTest, ReadsLabelsOfRoutesAndReceivers) {
  const Result<alerting::NotifierConfig> config = parse(
      "route: {receiver: a, labels: {team: ops, tier: one}, routes: [{labels: {tier: two}}]}\n"
      "receivers: [{name: a, labels: {owner: me}}]");
  ASSERT_TRUE(config.ok()) << config.status().message();
  using Labels = std::map<std::string, std::string>;
  EXPECT_EQ(config->root.children.at(0).route_labels, (Labels{{"team", "ops"}, {"tier", "two"}}));
  EXPECT_EQ(config->receivers.at(0).labels.to_string(), R"({name="a", owner="me"})");
}

TEST_F(NotifierConfigTest, AMistypedKeyIsToldAsOne) {
  const std::string tail = "\nreceivers: [{name: a}]\n";
  const std::pair<std::string, std::string> cases[] = {
      {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{ur: x, max_alerts: 1}]}]",
       "line 2: field ur not found in receivers[0].webhook_configs[0] (column 42)"},
      {"route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{api_ur: x}]}]",
       "field api_ur not found in receivers[0].slack_configs[0]"},
      {"route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{key: x}]}]",
       "field key not found in receivers[0].pagerduty_configs[0]"},
      {"route: {receiver: a}\nreceivers: [{nam: a}]",
       "line 2: field nam not found in receivers[0]"},
      {"route: {reciever: a}" + tail, "line 1: field reciever not found in route"},
      {"routes: {receiver: a}" + tail, "line 1: field routes not found in the configuration"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_NE(error_of(text).find(error), std::string::npos) << text << "\n" << error_of(text);
    EXPECT_EQ(error_of(text).find("max_alerts"), std::string::npos) << error_of(text);
  }
}

TEST_F(NotifierConfigTest, SaysWhatIsWrongAndWhere) {
  const std::string tail = "\nreceivers: [{name: a}]\n";
  const std::pair<std::string, std::string> cases[] = {
      {"", "no route provided in config"},
      {"receivers: []", "no routes provided (line 1, column 1)"},
      {"route: {group_by: [x]}" + tail,
       "root route must specify a default receiver (line 1, column 8)"},
      {"route: {receiver: b}" + tail, "undefined receiver \"b\" used in route (line 1, column 19)"},
      {"route: {receiver: a, match: {x: y}}" + tail,
       "root route must not have any matchers (line 1, column 8)"},
      {"route: {receiver: a, colour: red}" + tail,
       "yaml: unmarshal errors:\n  line 1: field colour not found in route (column 22)"},
      {"route: {receiver: a, group_wait: soon}" + tail, "not a valid duration string: \"soon\""},
      {"route: {receiver: a, group_by: ['...', b]}" + tail,
       "cannot have wildcard group_by (`...`) and other labels at the same time"},
      {"route: {receiver: a, group_by: [b, b]}" + tail, "duplicated label \"b\" in group_by"},
      {"route: {receiver: a, routes: [{match_re: {x: }}]}" + tail,
       "invalid regexp value for \"x\""},
      {"route: {receiver: a, group_interval: 0s}" + tail, "group_interval cannot be zero"},
      {"route: {receiver: a, routes: [{matchers: [x]}]}" + tail, "bad matcher format: x"},
      {"route: {receiver: a, routes: [{mute_time_intervals: [n]}]}" + tail,
       "undefined time interval \"n\" used in route"},
      {"route: {receiver: a}\nreceivers: [{name: a}, {name: a}]",
       "notification config name \"a\" is not unique (line 2, column 24)"},
      {"route: {receiver: a}\nreceivers:\n- name: a\n  email_configs:\n  - to: x",
       "receiver \"a\": email_configs are not supported: Tarsier tells webhooks, Slack and "
       "PagerDuty "
       "(a webhook bridge reaches others) (line 5, column 3)"},
      {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{}]}]",
       "missing URL in webhook config"},
      {"route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{channel: x}]}]",
       "no Slack API URL nor App token set either inline or in a file"},
      {"route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{app_token: x, api_url: y}]}]",
       "at most one of api_url and app_token must be configured"},
      {"route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{app_token: x, "
       "update_message: true}]}]",
       "slack_configs.update_message is not supported"},
      {"global: {slack_api_url: x, slack_app_token: y}\nroute: {receiver: a}" + tail,
       "at most one of slack_api_url & slack_app_token must be configured"},
      {"route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{}]}]",
       "missing service or routing key in PagerDuty config"},
      {"route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{service_key: x, "
       "routing_key: y}]}]",
       "at most one of routing_key and service_key must be configured"},
      {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: x, payload: text}]}]",
       "webhook_configs.payload must be a map or a list"},
      {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: x, payload: {k: ['{{ "
       "nope }}']}}]}]",
       "function \"nope\" not defined"},
      {"route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: '{{ nope }}'}]}]",
       "function \"nope\" not defined"},
      {"time_intervals: [{name: n, time_intervals: [{times: [{start_time: '9:00', end_time: "
       "'10:00'}]}]}]\nroute: {receiver: a}" +
           tail,
       "couldn't parse timestamp 9:00, invalid format"},
      {"time_intervals: [{name: n, time_intervals: [{location: Nowhere/City}]}]\nroute: "
       "{receiver: a}" +
           tail,
       "unknown time zone Nowhere/City"},
  };
  for (const auto& [text, want] : cases) {
    const std::string error = error_of(text);
    EXPECT_TRUE(error.starts_with("parsing YAML file etc/am.yml: ")) << error;
    EXPECT_NE(error.find(want), std::string::npos) << text << "\n" << error;
  }
}

TEST_F(NotifierConfigTest, OfAWholeConfigurationTheSectionCounts) {
  const std::string route = "  route: {receiver: a}\n  receivers: [{name: a}]\n";
  EXPECT_EQ(error_of("global: {scrape_interval: 5s}\nnotifier:\n" + route), "");
  EXPECT_NE(error_of("notifier:\n" + route + "  x: 1\n").find("field x not found in notifier"),
            std::string::npos);
}

TEST_F(NotifierConfigTest, SlackAppsPagerDutyV1AndPayloads) {
  const auto config = parse_notifier_config(
      "global: {slack_app_token_file: token}\n"
      "route: {receiver: a}\n"
      "receivers:\n"
      "- name: a\n"
      "  slack_configs:\n"
      "  - {channel: x}\n"
      "  - {api_url: http://hook/}\n"
      "  pagerduty_configs:\n"
      "  - {service_key_file: old}\n"
      "  webhook_configs:\n"
      "  - {url: http://w/, payload: {n: 1, list: [true, null, '{{ .Status }}']}}\n",
      {.file = "etc/am.yml"});
  ASSERT_TRUE(config.ok()) << config.status().message();
  const auto& integrations = config->receivers[0].integrations;
  ASSERT_EQ(integrations.size(), 4u);
  ASSERT_NE(integrations[0].payload, nullptr);
  EXPECT_EQ(alerting::payload_json(*integrations[0].payload,
                                   [](std::string_view text) { return std::string(text); }),
            "{\"n\":1,\"list\":[true,null,\"{{ .Status }}\"]}\n");
  EXPECT_EQ(integrations[1].url.text, "https://slack.com/api/chat.postMessage");
  EXPECT_EQ(integrations[1].http->credentials.scheme, "Bearer");
  EXPECT_EQ(integrations[1].http->credentials.secret.file, "etc/token");
  EXPECT_EQ(integrations[2].url.text, "http://hook/");
  EXPECT_EQ(integrations[2].http->credentials.kind, HttpCredentials::Kind::kNone);
  EXPECT_TRUE(integrations[3].is_pagerduty_v1());
  EXPECT_EQ(integrations[3].url.text,
            "https://events.pagerduty.com/generic/2010-04-15/create_event.json");
}

TEST_F(NotifierConfigTest, ASectionOfTheMainFileOrAFileOfItsOwn) {
  const std::string tree = "route: {receiver: a}\nreceivers: [{name: a}]\n";
  ASSERT_TRUE(write_file_atomically(disk, "etc/am.yml", tree).ok());
  const ConfigSources sources{.file = "etc/prometheus.yml", .files = &disk, .environment = {}};
  const Result<Config> inline_config =
      parse_config("notifier:\n  route: {receiver: a}\n  receivers: [{name: a}]\n", sources);
  ASSERT_TRUE(inline_config.ok()) << inline_config.status().message();
  EXPECT_TRUE(inline_config->notifier != nullptr);
  EXPECT_NE(render_config(*inline_config).find("notifier:\n  route:\n    receiver: a\n"),
            std::string::npos)
      << render_config(*inline_config);
  const Result<Config> other = parse_config("notifier_config_file: am.yml\n", sources);
  ASSERT_TRUE(other.ok()) << other.status().message();
  EXPECT_TRUE(other->notifier != nullptr);
  EXPECT_TRUE(parse_config("", sources)->notifier == nullptr);
  EXPECT_NE(
      parse_config("notifier_config_file: none.yml\n", sources).status().message().find("none.yml"),
      std::string::npos);
  EXPECT_NE(parse_config("notifier_config_file: am.yml\nnotifier: {}\n", sources)
                .status()
                .message()
                .find("at most one of notifier and notifier_config_file"),
            std::string::npos);
}

TEST(CliAlert, PrintsAlertsAndNotifications) {
  // The notifier knows what fires; what is pending only the rules do.
  EXPECT_EQ(*format_alerts(R"([{"fingerprint":"f","startsAt":"t","labels":{"alertname":"X","a":"b"},
                               "status":{"state":"active"}}])",
                           R"({"data":{"alerts":[
                               {"labels":{"alertname":"X"},"state":"firing","activeAt":"t",
                                "fingerprint":"f"},
                               {"labels":{"alertname":"Y"},"state":"pending","activeAt":"u",
                                "fingerprint":"e"}]}})"),
            "f active since t {a=\"b\", alertname=\"X\"}\n"
            "e pending since u {alertname=\"Y\"}\n");
  EXPECT_EQ(*format_notifications(R"({"data":{"notifications":[
      {"id":"i","state":"dead","integration":"r/webhook[0]","groupKey":"{}:{}","createdAt":"t",
       "attempts":3,"firing":1,"resolved":0,"error":"no"}]}})"),
            "t dead to r/webhook[0] {}:{} firing=1 resolved=0 attempts=3 id=i error=no\n");
  EXPECT_EQ(*format_notifications(R"({"data":{"notifications":[],"forgotten":true}})"),
            "(older ones that were delivered are no longer known)\n");
  EXPECT_EQ(*format_alerts("", R"({"data":{"alerts":[{"labels":{"alertname":"DemoAlert",
      "server":"ni3","severity":"critical"},"state":"pending","activeAt":"t"}]}})"),
            "8a07086b74f3ba78 pending since t {alertname=\"DemoAlert\", server=\"ni3\", "
            "severity=\"critical\"}\n");
  EXPECT_EQ(*format_history(R"({"data":{"events":[
      {"at":"2","id":"f","event":"resolved","reason":"rule removed","labels":{"a":"b"}},
      {"at":"1","id":"f","event":"firing","labels":{"a":"b"}}]}})"),
            "1 f firing {a=\"b\"}\n2 f resolved {a=\"b\"}: rule removed\n");
  EXPECT_FALSE(format_alerts("{}", "{}").ok());
  EXPECT_FALSE(format_alerts("", "{}").ok());
  EXPECT_FALSE(format_notifications("[]").ok());
}

}  // namespace
}  // namespace tarsier::server
