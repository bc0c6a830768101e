#include "tsdb/index/postings.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tsdb/index/select.h"
#include "tsdb/labels.h"

namespace tarsier::tsdb {
namespace {

using List = std::vector<std::uint32_t>;

List random_list(std::mt19937& random, std::size_t size_max, std::size_t value_max) {
  std::set<std::uint32_t> set;
  for (std::size_t n = random() % (size_max + 1); n > 0; --n)
    set.insert(static_cast<std::uint32_t>(random() % value_max));
  return {set.begin(), set.end()};
}

TEST(Postings, SetOperationsAgreeWithTheStandardLibrary) {
  for (unsigned seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    // Both similar and very different lengths, so that merging and galloping are both taken.
    const List a = random_list(random, seed % 3 == 0 ? 3 : 200, 1 + random() % 1000);
    const List b = random_list(random, seed % 3 == 1 ? 3 : 200, 1 + random() % 1000);
    List both;
    List only_a;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only_a));
    List list = a;
    intersect_with<std::uint32_t>(list, b);
    EXPECT_EQ(list, both);
    EXPECT_EQ(intersects<std::uint32_t>(a, b), !both.empty());
    list = a;
    subtract<std::uint32_t>(list, b);
    EXPECT_EQ(list, only_a);
  }
}

TEST(Postings, TheUnionOfManyRunsIsSortedAndUnique) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    PostingsRuns<std::uint64_t> runs;
    std::set<std::uint64_t> expected;
    for (std::size_t n = random() % 20; n > 0; --n) {
      for (const std::uint32_t ref : random_list(random, 30, 500)) {
        runs.refs.push_back(ref);
        expected.insert(ref);
      }
      runs.finish_run();
    }
    unite(runs);
    EXPECT_EQ(runs.refs, std::vector<std::uint64_t>(expected.begin(), expected.end()));
  }
}

/// The obvious source: a list of label sets; a reference is ten times the position.
struct ListSource {
  using Ref = std::uint32_t;
  std::vector<Labels> series;
  std::size_t pretended_value_count = 0;  // Large: the selection asks series instead of walking.

  Status append_all(List& out) {
    for (std::uint32_t i = 0; i < series.size(); ++i) out.push_back(i * 10);
    return {};
  }
  Status append_postings(std::string_view name, std::string_view value, List& out) {
    if (value.empty()) return corruption("an index holds no empty value");
    for (std::uint32_t i = 0; i < series.size(); ++i) {
      if (series[i].get(name) == value) out.push_back(i * 10);
    }
    return {};
  }
  template <typename Keep>
  Status append_values(std::string_view name, std::string_view prefix, Keep keep,
                       PostingsRuns<Ref>& runs) {
    std::set<std::string_view> values;
    for (const Labels& labels : series) values.insert(labels.get(name));
    for (const std::string_view value : values) {
      if (value.empty() || !value.starts_with(prefix) || !keep(value)) continue;
      TRY(append_postings(name, value, runs.refs));
      runs.finish_run();
    }
    return {};
  }
  std::size_t value_count(std::string_view) { return pretended_value_count; }
  Result<std::string_view> label_value(Ref ref, std::string_view name) {
    return series[ref / 10].get(name);
  }
};

TEST(SelectPostings, GivesExactlyTheSeriesThatPassEveryMatcher) {
  ListSource source;
  for (const char* a : {"", "1", "2", "x1", "x2"}) {
    for (const char* b : {"", "1", "foo", "foobar", "bar"}) {
      source.series.push_back(Labels{{"__name__", "m"}, {"a", a}, {"b", b}});
    }
  }
  std::sort(source.series.begin(), source.series.end());

  std::vector<Matcher> conditions;
  for (const MatchOp op :
       {MatchOp::kEqual, MatchOp::kNotEqual, MatchOp::kRegex, MatchOp::kNotRegex}) {
    for (const char* value : {"", "1", "foo", "nobody", ".*", ".+", "foo.*", "foo.+", "1|foo", "|1",
                              "x[12]", "(1|x1)?", "f.*r"}) {
      for (const char* name : {"a", "b", "missing"}) {
        conditions.push_back(Matcher::create(op, name, value).value());
      }
    }
  }
  std::size_t case_count = 0;
  for (const std::size_t value_count : {std::size_t{0}, std::size_t{1000}}) {
    source.pretended_value_count = value_count;
    for (const Matcher& first : conditions) {
      for (const Matcher& second : conditions) {
        const std::vector<Matcher> matchers = {first, second};
        List expected;
        for (std::uint32_t i = 0; i < source.series.size(); ++i) {
          const Labels& labels = source.series[i];
          if (first.matches(labels.get(first.name())) &&
              second.matches(labels.get(second.name()))) {
            expected.push_back(i * 10);
          }
        }
        ASSERT_EQ(select_postings(source, matchers, nullptr).value(), expected)
            << first.to_string() << ", " << second.to_string();
        ++case_count;
      }
    }
  }
  EXPECT_GT(case_count, 40'000u);
  EXPECT_EQ(select_postings(source, {}, nullptr).value().size(), source.series.size());
}

TEST(SelectPostings, StopsWhenCancelled) {
  ListSource source;
  source.series.push_back(Labels{{"a", "1"}});
  CancelToken cancel;
  cancel.cancel();
  const std::vector<Matcher> matchers = {Matcher::create(MatchOp::kRegex, "a", "x.y").value()};
  EXPECT_EQ(select_postings(source, matchers, &cancel).status().code(), Code::kCancelled);
  cancel.expire();
  EXPECT_EQ(select_postings(source, matchers, &cancel).status().code(), Code::kTimeout);
}

}  // namespace
}  // namespace tarsier::tsdb
