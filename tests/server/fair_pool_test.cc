#include "server/fair_pool.h"

#include <future>
#include <string>

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

/// One thread, held up until `go` is called: so what is submitted meanwhile waits.
class FairPoolTest : public ::testing::Test {
 protected:
  FairPoolTest() {
    EXPECT_TRUE(pool_.try_submit({.client = "gate",
                                  .cancel = std::make_shared<CancelToken>(),
                                  .run =
                                      [this] {
                                        is_held_.set_value();
                                        gate_.get_future().wait();
                                      },
                                  .refuse = [] {}}));
    is_held_.get_future().wait();
  }

  bool submit(const std::string& client, std::shared_ptr<CancelToken> cancel = nullptr) {
    if (!cancel) cancel = std::make_shared<CancelToken>();
    return pool_.try_submit({.client = client,
                             .cancel = std::move(cancel),
                             .run = [this, client] { order_ += client; },
                             .refuse = [this, client] { refused_ += client; }});
  }
  /// Lets the waiting tasks run and returns the order they ran in.
  std::string finish() {
    gate_.set_value();
    std::promise<void> done;
    EXPECT_TRUE(pool_.try_submit({.client = "z",
                                  .cancel = std::make_shared<CancelToken>(),
                                  .run = [&] { done.set_value(); },
                                  .refuse = [] {}}));
    done.get_future().wait();
    while (pool_.waiting_count() > 0) std::this_thread::yield();
    return order_;
  }

  std::promise<void> is_held_;
  std::promise<void> gate_;
  std::string order_;
  std::string refused_;
  FairPool pool_{{.thread_count = 1, .queue_size_max = 6}};
};

TEST_F(FairPoolTest, ServesClientsInTurn) {
  for (const char* client : {"a", "a", "a", "b", "c"}) ASSERT_TRUE(submit(client));
  const std::string order = finish();
  EXPECT_EQ(order.substr(0, 3), "abc") << "whoever has one question does not wait for many";
}

TEST_F(FairPoolTest, RefusesAtOnceWhoIsNotWaitedForAnyMore) {
  const auto cancel = std::make_shared<CancelToken>();
  ASSERT_TRUE(submit("a", cancel));
  ASSERT_TRUE(submit("b"));
  cancel->expire();
  pool_.run_due(Timestamp{0});
  EXPECT_EQ(refused_, "a");
  EXPECT_EQ(pool_.waiting_count(), 1u);
  EXPECT_EQ(finish(), "b");
}

TEST_F(FairPoolTest, IsBoundedAndMakesRoomFromWhatWasCancelled) {
  const auto cancel = std::make_shared<CancelToken>();
  ASSERT_TRUE(submit("a", cancel));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(submit("b"));
  EXPECT_FALSE(submit("c"));
  cancel->cancel();
  EXPECT_TRUE(submit("c"));
  EXPECT_EQ(refused_, "a");
  gate_.set_value();
}

}  // namespace
}  // namespace tarsier::server
