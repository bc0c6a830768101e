#include "server/notifications.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

/// Asks for the next piece; nothing while there is none.
std::shared_ptr<std::optional<std::string>> ask(const HttpResponse& response) {
  auto got = std::make_shared<std::optional<std::string>>();
  response.stream->next([got](Result<std::string> piece) { *got = std::move(*piece); });
  return got;
}

TEST(Notifications, AreListedWhileTheyHold) {
  Notifications notifications(2);
  EXPECT_EQ(notifications.list().body, R"({"status":"success","data":[]})");
  notifications.add("a", Timestamp{0});
  notifications.add("a", Timestamp{5});
  EXPECT_EQ(notifications.list().body,
            R"({"status":"success","data":[)"
            R"({"text":"a","date":"1970-01-01T00:00:00Z","active":true}]})");
  notifications.remove("a");
  notifications.remove("b");
  EXPECT_EQ(notifications.list().body, R"({"status":"success","data":[]})");
}

TEST(Notifications, LiveTellsWhatHoldsAndEveryChange) {
  Notifications notifications(2);
  notifications.add("a", Timestamp{0});
  const HttpResponse live = notifications.live();
  EXPECT_EQ(live.content_type, "text/event-stream");
  EXPECT_EQ(live.body,
            "data: {\"text\":\"a\",\"date\":\"1970-01-01T00:00:00Z\",\"active\":true}\n\n");
  const auto first = ask(live);
  EXPECT_FALSE(first->has_value());
  notifications.remove("a");
  EXPECT_EQ(**first,
            "data: {\"text\":\"a\",\"date\":\"1970-01-01T00:00:00Z\",\"active\":false}\n\n");
  notifications.close();
  EXPECT_EQ(**ask(live), "") << "the end";
  EXPECT_EQ(notifications.live().status, 204);
}

TEST(Notifications, ListenersAreLimitedUntilOneLeaves) {
  Notifications notifications(1);
  std::optional<HttpResponse> first = notifications.live();
  EXPECT_EQ(first->status, 200);
  EXPECT_EQ(notifications.live().status, 204);
  first.reset();
  EXPECT_EQ(notifications.live().status, 200);
}

}  // namespace
}  // namespace tarsier::server
