#include "alerting/alert_history_api.h"

#include <gtest/gtest.h>

namespace tarsier::alerting {
namespace {

HttpResponse ask(HttpRequest request, AlertEventFilter* seen = nullptr) {
  return alert_history_response(request, [&](const AlertEventFilter& filter) {
    if (seen) *seen = filter;
    return std::vector<AlertEvent>{{.at = {60'000},
                                    .owner = "rule;f;g;A;0",
                                    .labels = {{"alertname", "A"}},
                                    .kind = AlertEventKind::kResolved,
                                    .reason = ResolveReason::kRuleRemoved,
                                    .value = 1}};
  });
}

TEST(AlertHistoryApi, TellsEvents) {
  const HttpResponse response = ask({});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body,
            R"({"status":"success","data":{"events":[{"at":"1970-01-01T00:01:00.000Z",)"
            R"("id":")" +
                fingerprint_of({{"alertname", "A"}}).to_string() +
                R"(","event":"resolved","reason":"rule removed","labels":{"alertname":"A"},)"
                R"("owner":"rule;f;g;A;0"}]}})");
}

TEST(AlertHistoryApi, ReadsWhatIsAskedFor) {
  HttpRequest request;
  request.parameters = {{"id", "8a07086b74f3ba78"},
                        {"match[]", "{job=\"a\"}"},
                        {"start", "1"},
                        {"end", "2"},
                        {"limit", "3"}};
  AlertEventFilter seen;
  EXPECT_EQ(ask(request, &seen).status, 200);
  EXPECT_EQ(seen.fingerprint, parse_fingerprint("8a07086b74f3ba78"));
  ASSERT_EQ(seen.matchers.size(), 1u);
  EXPECT_EQ(seen.begin, Timestamp{1000});
  EXPECT_EQ(seen.end, Timestamp{2000});
  EXPECT_EQ(seen.limit, 3u);
  request.parameters = {{"id", "x"}};
  EXPECT_EQ(ask(request).status, 400);
  request.parameters = {{"match[]", "{"}};
  EXPECT_EQ(ask(request).status, 400);
}

}  // namespace
}  // namespace tarsier::alerting
