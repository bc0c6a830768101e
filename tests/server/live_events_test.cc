#include "server/live_events.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace tarsier::server {
namespace {

/// Asks for the next piece; nothing while there is none.
std::shared_ptr<std::optional<std::string>> ask(const HttpResponse& response) {
  auto got = std::make_shared<std::optional<std::string>>();
  response.stream->next([got](Result<std::string> piece) { *got = std::move(*piece); });
  return got;
}

TEST(LiveEvents, TellWhatIsAndEveryChangeToWhoListens) {
  LiveEvents events(1);
  LiveSummary now{.targets_up = 1};
  int asked = 0;
  events.begin([&] {
    ++asked;
    return now;
  });
  EXPECT_EQ(events.run_due(Timestamp{0}), Timestamp{0} + LiveEvents::kInterval);
  EXPECT_EQ(asked, 0) << "nobody listens";
  std::optional<HttpResponse> live = events.live();
  EXPECT_EQ(live->body,
            "data: {\"alertsFiring\":0,\"alertsPending\":0,\"alertsVersion\":\"0\",\"targetsUp\":1,"
            "\"targetsDown\":0}\n\n");
  EXPECT_EQ(events.live().status, 204) << "one may listen";
  const auto next = ask(*live);
  events.run_due(Timestamp{2000});
  EXPECT_FALSE(next->has_value()) << "nothing changed";
  now.alerts_firing = 2;
  events.run_due(Timestamp{4000});
  ASSERT_TRUE(next->has_value());
  EXPECT_NE((*next)->find("\"alertsFiring\":2"), std::string::npos);
  events.close();
  EXPECT_EQ(**ask(*live), "") << "the end";
}

TEST(LiveEvents, LetsGoOfWhoDoesNotRead) {
  EventSubscribers subscribers(1);
  const HttpResponse answer = subscribers.open("");
  const std::string large(200'000, 'x');
  subscribers.tell(large);
  subscribers.tell(large);
  subscribers.tell(large);
  const auto piece = ask(answer);
  EXPECT_LT((*piece)->size(), 3 * large.size());
  EXPECT_EQ(**ask(answer), "") << "the end";
}

}  // namespace
}  // namespace tarsier::server
