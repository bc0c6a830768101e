#include "server/call_gate.h"

#include <vector>

#include <gtest/gtest.h>

namespace tarsier::server {
namespace {

TEST(CallGate, LetsSoManyInAndTheOthersInTurn) {
  std::vector<int> order;
  std::vector<CallGate::Lease> in;
  CallGate gate(2, 2);  // Ends before its leases: nobody is let in any more.
  const auto enter = [&](int who) {
    return gate.enter([&, who](CallGate::Lease lease) {
      order.push_back(who);
      in.push_back(std::move(lease));
    });
  };
  for (const int who : {1, 2, 3, 4}) EXPECT_TRUE(enter(who));
  EXPECT_FALSE(enter(5));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  CallGate::Lease first = std::move(in.front());
  first.reset();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(enter(6));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(CallGate, LetsEverybodyInWithoutALimit) {
  CallGate gate(0);
  std::vector<CallGate::Lease> in;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(gate.enter([&](CallGate::Lease lease) { in.push_back(std::move(lease)); }));
  }
  EXPECT_EQ(in.size(), 100u);
}

TEST(CallGate, MayEndBeforeItsCalls) {
  CallGate::Lease lease;
  bool is_second_in = false;
  {
    CallGate gate(1);
    EXPECT_TRUE(gate.enter([&](CallGate::Lease own) { lease = std::move(own); }));
    EXPECT_TRUE(gate.enter([&](const CallGate::Lease&) { is_second_in = true; }));
  }
  lease.reset();
  EXPECT_FALSE(is_second_in);
}

}  // namespace
}  // namespace tarsier::server
