#include "server/scheduler.h"

#include <future>

#include <gtest/gtest.h>

#include "server/clock.h"

namespace tarsier::server {
namespace {

TEST(Scheduler, CallsAVerbAgainWhenItSaid) {
  std::promise<void> third;
  int count = 0;
  Scheduler scheduler("test");
  scheduler.add([&](Timestamp t) {
    if (++count == 3) third.set_value();
    return count < 3 ? t + milliseconds(2) : kNever;
  });
  third.get_future().get();
}

TEST(Scheduler, CallsSleepingVerbsWhenWoken) {
  std::promise<void> first;
  std::promise<void> second;
  int count = 0;
  Scheduler scheduler("test");
  scheduler.add([&](Timestamp) {
    if (++count == 1) first.set_value();
    if (count == 2) second.set_value();
    return kNever;
  });
  first.get_future().get();
  scheduler.wake();
  second.get_future().get();
}

TEST(Scheduler, RunsTasksInOrder) {
  std::promise<void> last;
  std::string order;
  Scheduler scheduler("test");
  scheduler.post([&] { order += 'a'; });
  scheduler.post([&] { order += 'b'; });
  scheduler.post([&] { last.set_value(); });
  last.get_future().get();
  EXPECT_EQ(order, "ab");
}

TEST(Deadlines, ExpireTokensThatAreStillHeld) {
  int earlier = 0;
  Deadlines deadlines([&] { ++earlier; });
  const auto first = std::make_shared<CancelToken>();
  const auto second = std::make_shared<CancelToken>();
  deadlines.expire_at(second, {200});
  deadlines.expire_at(first, {100});
  deadlines.expire_at(std::make_shared<CancelToken>(), {50});  // Nobody waits for it any more.
  EXPECT_EQ(earlier, 3);
  EXPECT_EQ(deadlines.run_due({99}), Timestamp{100});
  EXPECT_FALSE(first->is_expired());
  EXPECT_EQ(deadlines.run_due({100}), Timestamp{200});
  EXPECT_TRUE(first->is_expired());
  EXPECT_EQ(deadlines.run_due({1000}), kNever);
  EXPECT_TRUE(second->is_cancelled());
}

}  // namespace
}  // namespace tarsier::server
