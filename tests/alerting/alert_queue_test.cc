#include "alerting/alert_queue.h"

#include <gtest/gtest.h>

namespace tarsier::alerting {
namespace {

Alert message(std::string_view name, AlertState state, std::int64_t starts = 0) {
  Alert out;
  out.labels = tsdb::Labels{{"alertname", name}};
  out.state = state;
  out.starts_at = Timestamp{starts};
  return out;
}

std::string names(const AlertQueue& queue) {
  std::string out;
  for (const Alert& alert : queue.alerts()) {
    out += std::string(alert.labels.get("alertname")) +
           (alert.state == AlertState::kFiring ? " " : "! ");
  }
  return out;
}

TEST(AlertQueue, ARepetitionTakesThePlaceOfItsLike) {
  AlertQueue queue(10);
  queue.add(message("a", AlertState::kFiring));
  queue.add(message("b", AlertState::kFiring));
  queue.add(message("a", AlertState::kInactive));
  queue.add(message("a", AlertState::kFiring));
  EXPECT_EQ(names(queue), "b a! a ");
  queue.add(message("a", AlertState::kFiring, 7));  // Another one of the same name.
  EXPECT_EQ(names(queue), "b a! a a ");
  EXPECT_EQ(queue.last_number(), 5u);
}

TEST(AlertQueue, TheOldestGoWhenItIsFull) {
  AlertQueue queue(2);
  EXPECT_TRUE(queue.add(message("a", AlertState::kFiring)));
  EXPECT_TRUE(queue.add(message("b", AlertState::kFiring)));
  EXPECT_TRUE(queue.add(message("a", AlertState::kFiring)));
  EXPECT_FALSE(queue.add(message("c", AlertState::kFiring)));
  EXPECT_EQ(names(queue), "a c ");
  EXPECT_FALSE(queue.add(message("b", AlertState::kFiring)));
  EXPECT_EQ(names(queue), "c b ");
}

TEST(AlertQueue, WhatCameMeanwhileStaysWhenABatchIsDone) {
  AlertQueue queue(10);
  for (const char* name : {"a", "b", "c"}) queue.add(message(name, AlertState::kFiring));
  std::vector<std::uint64_t> numbers;
  for (const AlertQueue::Entry& entry : queue.oldest(2)) numbers.push_back(entry.number);
  EXPECT_EQ(numbers.size(), 2u);
  queue.add(message("b", AlertState::kFiring));
  queue.remove(numbers);
  EXPECT_EQ(names(queue), "c b ");
  queue.remove({99});
  queue.add(message("a", AlertState::kFiring));
  EXPECT_EQ(names(queue), "c b a ");
  EXPECT_EQ(queue.oldest(9).size(), 3u);
}

}  // namespace
}  // namespace tarsier::alerting
