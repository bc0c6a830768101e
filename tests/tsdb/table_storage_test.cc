#include "tests/support/table_storage.h"

#include <gtest/gtest.h>

namespace tarsier::testing {
namespace {

TEST(TableStorage, SelectsByMatchersAndReadsInclusiveRanges) {
  TableStorage storage;
  for (int i = 0; i < 4; ++i) storage.add({{"__name__", "up"}, {"job", "a"}}, Timestamp{i * 10}, i);
  storage.add({{"__name__", "up"}, {"job", "b"}}, Timestamp{0}, 9);
  const auto querier = storage.querier({}).value();
  const auto set = querier->select({tsdb::Matcher::equal("job", "a")}, {}, nullptr).value();
  ASSERT_EQ(set->size(), 1u);
  EXPECT_EQ(set->label(0, "job"), "a");
  tsdb::SampleColumns out;
  ASSERT_TRUE(set->read(0, {Timestamp{10}, Timestamp{20}}, out).ok());
  EXPECT_EQ(out.values, (std::vector<double>{1, 2}));
  EXPECT_EQ(querier->label_values("job", {}).value(), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace tarsier::testing
