#include "alerting/alert_history_api.h"

#include <gtest/gtest.h>

namespace tarsier::alerting {
namespace {

HttpResponse ask(HttpRequest request, std::vector<AlertEventFilter>* asked = nullptr) {
  const auto labelling = std::make_shared<const AlertLabelling>(
      AlertLabelling{.external_labels = {{"region", "eu"}}, .relabel = {}});
  const AlertEvent event{.at = {60'000},
                         .owner = "rule;f;g;A;0",
                         .labels = {{"alertname", "A"}},
                         .kind = AlertEventKind::kResolved,
                         .reason = ResolveReason::kRuleRemoved,
                         .value = 1};
  AlertHistory history;
  history.add(event);
  return alert_history_response(request, labelling, [&](const AlertEventFilter& filter) {
    if (asked) asked->push_back(filter);
    return history.find(filter);
  });
}

TEST(AlertHistoryApi, TellsEvents) {
  const HttpResponse response = ask({});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body,
            R"({"status":"success","data":{"events":[{"at":"1970-01-01T00:01:00.000Z",)"
            R"("id":")" +
                fingerprint_of({{"alertname", "A"}, {"region", "eu"}}).to_string() +
                R"(","event":"resolved","reason":"rule removed","labels":{"alertname":"A"},)"
                R"("owner":"rule;f;g;A;0"}]}})");
}

TEST(AlertHistoryApi, ReadsWhatIsAskedFor) {
  HttpRequest request;
  request.parameters = {{"id", fingerprint_of({{"alertname", "A"}}).to_string()},
                        {"match[]", "{job=\"a\"}"},
                        {"start", "1"},
                        {"end", "2"},
                        {"limit", "3"}};
  std::vector<AlertEventFilter> asked;
  const HttpResponse response = ask(request, &asked);
  EXPECT_EQ(response.status, 200);  // The alert is known, though not with what else is asked for.
  EXPECT_EQ(response.body, R"({"status":"success","data":{"events":[]}})");
  const AlertEventFilter& seen = asked.front();
  EXPECT_EQ(seen.id, fingerprint_of({{"alertname", "A"}}));
  ASSERT_EQ(seen.matchers.size(), 1u);
  EXPECT_EQ(seen.begin, Timestamp{1000});
  EXPECT_EQ(seen.end, Timestamp{2000});
  EXPECT_EQ(seen.limit, 3u);
  request.parameters = {{"id", "x"}};
  EXPECT_EQ(ask(request).status, 400);
  request.parameters = {{"match[]", "{"}};
  EXPECT_EQ(ask(request).status, 400);
}

TEST(AlertHistoryApi, KnowsAnAlertByWhatReceiversAreTold) {
  HttpRequest request;
  const auto known = [&](const tsdb::Labels& labels) {
    request.parameters = {{"id", fingerprint_of(labels).to_string()}};
    return ask(request);
  };
  EXPECT_EQ(known({{"alertname", "A"}, {"region", "eu"}}).status, 200);
  EXPECT_EQ(known({{"alertname", "A"}}).body, known({{"alertname", "A"}, {"region", "eu"}}).body);
  const HttpResponse unknown = known({{"alertname", "B"}});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find("nothing is known of an alert "), std::string::npos);
}

}  // namespace
}  // namespace tarsier::alerting
