#include "tsdb/labels.h"

#include <gtest/gtest.h>

#include "tsdb/matcher.h"

namespace tarsier::tsdb {
namespace {

TEST(Labels, AreSortedUniqueAndWithoutEmptyValues) {
  const Labels labels{{"z", "1"}, {"a", "old"}, {"empty", ""}, {"a", "new"}};
  EXPECT_EQ(labels.to_string(), R"({a="new", z="1"})");
  EXPECT_EQ(labels.count(), 2u);
  EXPECT_EQ(labels.get("a"), "new");
  EXPECT_EQ(labels.get("missing"), "");
}

TEST(Labels, PrintTheMetricNameInFront) {
  EXPECT_EQ((Labels{{"__name__", "up"}}).to_string(), "up");
  EXPECT_EQ((Labels{{"__name__", "up"}, {"job", "a\"b"}}).to_string(), R"(up{job="a\"b"})");
  EXPECT_EQ((Labels{{"__name__", "my.metric"}, {"a.b", "c"}}).to_string(),
            R"({"my.metric", "a.b"="c"})");
  EXPECT_EQ(Labels().to_string(), "{}");
}

TEST(Labels, OrderIsByNameThenValueAndAPrefixIsFirst) {
  const std::vector<Labels> sorted = {{},
                                      {{"a", "1"}},
                                      {{"a", "1"}, {"b", "1"}},
                                      {{"a", "10"}},
                                      {{"a", "2"}},
                                      {{"aa", "0"}},
                                      {{"b", "0"}}};
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    for (std::size_t j = 0; j < sorted.size(); ++j) {
      EXPECT_EQ(sorted[i] <=> sorted[j], i <=> j)
          << sorted[i].to_string() << " " << sorted[j].to_string();
    }
  }
}

TEST(Labels, ValuesLongerThanOneLengthByteSurvive) {
  const std::string long_value(40'000, 'x');
  const Labels labels{{"a", long_value}, {"b", "2"}};
  EXPECT_EQ(labels.get("a"), long_value);
  EXPECT_EQ(labels.get("b"), "2");
}

TEST(LabelsBuilder, SetsReplacesAndRemoves) {
  LabelsBuilder builder(Labels{{"a", "1"}, {"b", "2"}});
  builder.set("c", "3");
  builder.set("a", "9");
  builder.set("b", "");
  EXPECT_EQ(builder.build(), (Labels{{"a", "9"}, {"c", "3"}}));
}

bool regex_matches(const std::string& pattern, std::string_view text) {
  return Matcher::create(MatchOp::kRegex, "x", pattern).value().matches(text);
}

TEST(Matcher, FastPathsAgreeWithTheRegularExpression) {
  const std::vector<std::string> patterns = {
      "",    "a",     "a|b",     "(a|b)",  "(?:a|b)", "a.*",  "a.+",     ".*",    ".+",    "ab?",
      "ab*", "a\\.b", "a\\.b.*", "a{2}",   "(a)(b)",  "a|",   "(a|b)c",  "a|b.*", "^a$",   "é+",
      "é",   "aé?",   "[ab]",    "(?i)ab", "a.b",     "a\\d", "((a|b))", "a||b",  "x(a|b)"};
  const std::vector<std::string> texts = {"",   "a",   "b",   "ab", "abb", "a.b", "a.bc",
                                          "aa", "axb", "a\n", "c",  "ac",  "bc",  "AB",
                                          "é",  "éé",  "aé",  "a5", "xa"};
  for (const std::string& pattern : patterns) {
    const Regex regex = Regex::compile(pattern).value();
    for (const std::string& text : texts) {
      EXPECT_EQ(regex_matches(pattern, text), regex.full_match(text)) << pattern << " on " << text;
    }
  }
}

TEST(Matcher, KnowsItsLiteralsAndPrefix) {
  const Matcher set = Matcher::create(MatchOp::kRegex, "x", "b|a|b").value();
  EXPECT_EQ(set.literals(), (std::vector<std::string>{"a", "b"}));
  const Matcher prefix = Matcher::create(MatchOp::kRegex, "x", "node_.*").value();
  EXPECT_EQ(prefix.prefix(), "node_");
  EXPECT_FALSE(prefix.literals().has_value());
}

TEST(Matcher, AbsentIsEmpty) {
  EXPECT_TRUE(Matcher::equal("x", "").matches_empty());
  EXPECT_TRUE(Matcher::not_equal("x", "a").matches_empty());
  EXPECT_FALSE(Matcher::not_equal("x", "").matches_empty());
  EXPECT_TRUE(Matcher::create(MatchOp::kRegex, "x", "a|").value().matches_empty());
}

TEST(Matcher, BadPatternIsAnErrorThatNamesIt) {
  const auto result = Matcher::create(MatchOp::kRegex, "x", "a(b");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalid);
  EXPECT_NE(result.status().message().find("a(b"), std::string::npos);
}

}  // namespace
}  // namespace tarsier::tsdb
