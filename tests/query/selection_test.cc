#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "query/engine.h"
#include "tests/support/table_storage.h"

// What a query asks storage for.

namespace tarsier::query {
namespace {

/// Notes how many series sets are asked for at once.
class WatchedStorage final : public tsdb::Queryable {
 public:
  explicit WatchedStorage(bool has_rows) : has_rows_(has_rows) {}
  testing::TableStorage table;
  std::vector<TimeRange> asked;

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override {
    return std::unique_ptr<tsdb::Querier>(std::make_unique<View>(*this, TRY(table.querier(range))));
  }

 private:
  class View final : public tsdb::Querier {
   public:
    View(WatchedStorage& storage, std::unique_ptr<tsdb::Querier> inner)
        : storage_(storage), inner_(std::move(inner)) {}
    Result<std::unique_ptr<tsdb::SeriesSet>> select(const std::vector<tsdb::Matcher>& matchers,
                                                    const tsdb::SelectHints& hints,
                                                    const CancelToken* cancel) const override {
      storage_.asked.push_back(hints.range);
      return inner_->select(matchers, hints, cancel);
    }
    bool heeds_resolution() const override { return storage_.has_rows_; }
    Result<std::vector<std::string>> label_names(
        const std::vector<tsdb::Matcher>& matchers) const override {
      return inner_->label_names(matchers);
    }
    Result<std::vector<std::string>> label_values(
        std::string_view name, const std::vector<tsdb::Matcher>& matchers) const override {
      return inner_->label_values(name, matchers);
    }

   private:
    WatchedStorage& storage_;
    const std::unique_ptr<tsdb::Querier> inner_;
  };

  const bool has_rows_;
};

TEST(Selections, UsesOfOneSelectorShareItUnlessRowsMayAnswerThemDifferently) {
  for (const bool has_rows : {false, true}) {
    WatchedStorage storage(has_rows);
    for (std::int64_t t = 0; t <= 600'000; t += 15'000) {
      storage.table.add({{"__name__", "x_total"}}, Timestamp{t}, static_cast<double>(t));
    }
    const Engine engine(EngineOptions{}, nullptr);
    const QueryRequest request{
        .text = "rate(x_total[5m]) / x_total offset 1m + max_over_time(x_total[2m])",
        .start = Timestamp{600'000},
        .end = Timestamp{600'000},
        .step = {}};
    const auto result = engine.run(storage, engine.prepare(request).value(), nullptr);
    ASSERT_TRUE(result.ok()) << result.status().message();
    ASSERT_EQ(result->vector.size(), 1u);
    EXPECT_DOUBLE_EQ(result->vector[0].value, 1000.0 / 540'000 + 600'000);
    if (has_rows) {
      EXPECT_EQ(storage.asked.size(), 3u);
      continue;
    }
    ASSERT_EQ(storage.asked.size(), 1u);
    EXPECT_EQ(storage.asked[0].min, Timestamp{240'001}) << "the lookback before the offset";
    EXPECT_EQ(storage.asked[0].max, Timestamp{600'000});
  }
}

}  // namespace
}  // namespace tarsier::query
