#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "alerting/notifier.h"
#include "tests/alerting/notifier_station.h"
#include "tests/support/faulty_file_system.h"

namespace tarsier::alerting {
namespace {

using testing::Station;
using Told = std::vector<std::string>;

/// Without group_wait a group's rhythm is that of the evaluations: an alert that fires again does
/// it at the very instant at which its end is told.
class NotifierFlapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config.root.group_wait = seconds(0);
    config.root.group_interval = seconds(4);
    ASSERT_TRUE(station.start(config).ok());
  }
  void fire() { ASSERT_TRUE(station.fire(down).ok()); }
  void resolve() { ASSERT_TRUE(station.resolve(down).ok()); }
  /// Told at once, and over a second before the group is looked at again.
  void fire_and_end() {
    fire();
    station.pass(seconds(3));
    EXPECT_EQ(station.told, Told({"firing: Down"}));
    resolve();
  }
  void end_and_check() {
    station.pass(seconds(20));
    resolve();
    station.pass(seconds(20));
    EXPECT_EQ(station.told,
              Told({"firing: Down", "resolved: Down!", "firing: Down", "resolved: Down!"}));
    std::map<std::string, std::string> body_of;
    for (const auto& [id, body] : station.sent) {
      EXPECT_EQ(body_of.emplace(id, body).first->second, body) << "one id with two contents";
    }
    EXPECT_EQ(body_of.size(), 4u);
    EXPECT_EQ(station.notifier->notifications().size(), 4u);
  }

  const tsdb::Labels down{{"alertname", "Down"}};
  NotifierConfig config = testing::simple_config("hook");
  tarsier::testing::FaultyFileSystem disk;
  Station station{disk};
};

TEST_F(NotifierFlapTest, BehindTheFlushItIsANewPage) {
  fire_and_end();
  station.pass(seconds(1));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!"}));
  fire();
  end_and_check();
}

TEST_F(NotifierFlapTest, WhileItsEndIsOnItsWayItIsANewPage) {
  fire_and_end();
  const auto respond = std::exchange(station.client.respond, nullptr);
  station.pass(seconds(1));
  ASSERT_EQ(station.client.pending.size(), 1u);
  fire();
  station.pass(milliseconds(5));
  ASSERT_EQ(station.client.pending.size(), 1u);  // Strictly one after the other.
  const HttpFetch held = station.client.pending.front().request;
  station.client.respond = respond;
  station.client.answer(respond(held));
  end_and_check();
}

TEST_F(NotifierFlapTest, AnAbsentReceiverHearsOfBothAlsoBehindARestart) {
  fire_and_end();
  bool is_down = true;
  station.answer = [&](const HttpFetch&) -> Result<HttpResponse> {
    if (is_down) return unavailable("connection refused");
    return HttpResponse{};
  };
  station.pass(seconds(1));
  fire();
  station.pass(seconds(1));
  station.stop();
  ASSERT_TRUE(station.start(config).ok());
  station.pass(seconds(1));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  is_down = false;
  station.pass(minutes(2));
  end_and_check();
}

TEST_F(NotifierFlapTest, BeforeTheFlushItNeverEndedForTheReceiver) {
  fire_and_end();
  station.pass(milliseconds(999));
  station.now = station.now + milliseconds(1);
  fire();
  station.pass(seconds(20));
  EXPECT_EQ(station.told, Told({"firing: Down"}));
  EXPECT_EQ(station.notifier->alerts(station.now).size(), 1u);
  resolve();
  station.pass(seconds(20));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!"}));
  // And the next one is told again.
  fire();
  station.pass(seconds(20));
  EXPECT_EQ(station.told, Told({"firing: Down", "resolved: Down!", "firing: Down"}));
}

}  // namespace
}  // namespace tarsier::alerting
