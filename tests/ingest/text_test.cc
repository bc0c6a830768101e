#include "ingest/exposition/text.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/ingest/parsed_exposition.h"

namespace tarsier::ingest {
namespace {

using namespace std::string_literals;

void expect_all(const std::vector<ParseCase>& cases) {
  for (const ParseCase& c : cases) {
    SCOPED_TRACE("input: " + c.input);
    EXPECT_EQ(parsed<TextParser>(c.input), c.want);
  }
}

TEST(TextParser, ReadsSamplesHoweverTheyAreSpaced) {
  expect_all({
      {"a 1\n", "a -> 1\n"},
      {"a 1", "a -> 1\n"},
      {"", ""},
      {"\n\n a\t1  17 \n\t\n b 2", "a -> 1 @17\nb -> 2\n"},
      {"a{} 1\n", "a -> 1\n"},
      {"a{b=\"c\"}1\n", "a b=[c] -> 1\n"},
      {"a { b = \"c\" , d=\"e\" , } 1 2\n", "a b=[c] d=[e] -> 1 @2\n"},
      {"a{b=\"c\"d=\"e\"} 1\n", "a b=[c] d=[e] -> 1\n"},
      {"a:b_C9 +Inf\n", "a:b_C9 -> inf\n"},
      {"a 1 9223372036854775807\n", "a -> 1 @9223372036854775807\n"},
      {"a{le=\"}\",b=\"{\",c=\" 1 2\"} 3\n", "a le=[}] b=[{] c=[ 1 2] -> 3\n"},
  });
}

TEST(TextParser, ReadsQuotedNames) {
  expect_all({
      {"{\"my.metric\",\"my.label\"=\"x\"} 1\n", "my.metric my.label=[x] -> 1\n"},
      {"{q=\"0.9\",\"http.status\",a=\"b\",} 1\n", "http.status q=[0.9] a=[b] -> 1\n"},
      {"{\"a b\"} 1\n", "a b -> 1\n"},
      {"{\"a\\\"\\n\\\\\"} 1\n", "a\"\n\\ -> 1\n"},
      {"# TYPE \"a.b\" counter\n", "type a.b counter\n"},
  });
}

TEST(TextParser, UnescapesLabelValues) {
  expect_all({
      {R"(a{b="x\\y\"z\nq\t"} 1)", "a b=[x\\y\"z\nq\\t] -> 1\n"},
      {R"(a{b="\\\\n"} 1)", "a b=[\\\\n] -> 1\n"},
      {"a{b=\"two\nlines\"} 1", "a b=[two\nlines] -> 1\n"},
      {"a{b=\"nul\0x\"} 1"s, "a b=[nul\0x] -> 1\n"s},
      {"a{b=\"\"} 1", "a b=[] -> 1\n"},
  });
}

TEST(TextParser, ReadsMetadataAndSkipsComments) {
  expect_all({
      {"# HELP a some \\\\ text\\n \\\" x\n# TYPE a gauge\n",
       "help a [some \\ text\n \\\" x]\ntype a gauge\n"},
      {"# HELP a\n# HELP b \n", "help a []\nhelp b []\n"},
      {"#\tHELP\ta  b\n", "help a [ b]\n"},
      {"#HELP a b\n# HELPER a\n#\n# x\n# TYPE\n", "comment\ncomment\ncomment\ncomment\ncomment\n"},
      {"# TYPE a untyped\n# TYPE a summary\n", "type a unknown\ntype a summary\n"},
      {"a 1\n# TYPE a counter\n", "a -> 1\ntype a counter\n"},
      // Cut off in the middle of a line.
      {"# HELP a x", "help a [x]\n"},
  });
}

TEST(TextParser, WritesBoundsAndQuantilesCanonically) {
  expect_all({
      {"# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1000000\"} "
       "1\na_bucket{le=\"+Inf\"} 2\n",
       "type a histogram\na_bucket le=[1.0] -> 1\na_bucket le=[1e+06] -> 1\n"
       "a_bucket le=[+Inf] -> 2\n"},
      {"# TYPE a summary\na{quantile=\"0.50\",le=\"1\"} 1\n",
       "type a summary\na quantile=[0.5] le=[1] -> 1\n"},
      {"# TYPE a gauge\na{le=\"1\"} 1\n", "type a gauge\na le=[1] -> 1\n"},
      {"# TYPE a histogram\na_bucket{le=\"x\"} 1\n", "type a histogram\na_bucket le=[x] -> 1\n"},
  });
}

TEST(TextParser, StopsSilentlyAtANulLine) { expect_all({{"a 1\n\0b 2\n"s, "a -> 1\n"}}); }

TEST(TextParser, SaysWhatWasExpectedAndWhere) {
  expect_all({
      {"a", "error: line 1: expected value after metric, got end of input while parsing: \"a\"\n"},
      {"x 1\na\nb 2\n",
       "x -> 1\nerror: line 2: expected value after metric, got \"\\n\" while parsing: \"a\\n\"\n"},
      {"a true\n", "error: line 1: expected a number, got \"true\" while parsing: \"a true\"\n"},
      {"a 1\r\n", "error: line 1: expected a number, got \"1\\r\" while parsing: \"a 1\\r\"\n"},
      {"a 1e999\n", "error: line 1: number \"1e999\" is out of range while parsing: \"a 1e999\"\n"},
      {"a{b='c'} 1\n", "error: line 1: expected label value, got \"'\" while parsing: \"a{b='\"\n"},
      {"a{b=\n", "error: line 1: expected label value, got end of input while parsing: \"a{b=\"\n"},
      {"a{b=\"c\n",
       "error: line 1: expected label value, got \"\\\"\" while parsing: \"a{b=\\\"\"\n"},
      {"a{,b=\"c\"} 1\n", "error: line 1: expected label name, got \",\" while parsing: \"a{,\"\n"},
      {"a{b=\"c\",,} 1\n",
       "error: line 1: expected label name, got \",\" while parsing: \"a{b=\\\"c\\\",,\"\n"},
      {"a{1=\"c\"} 1\n", "error: line 1: expected label name, got \"1\" while parsing: \"a{1\"\n"},
      {"a{b:c=\"c\"} 1\n", "error: line 1: expected equal, got \":\" while parsing: \"a{b:\"\n"},
      {"{A}0\n", "error: line 1: expected equal, got \"}\" while parsing: \"{A}\"\n"},
      {"{a=\"ok\"} 1\n", "error: line 1: metric name not set while parsing: \"{a=\\\"ok\\\"}\"\n"},
      {"a{\"b\"} 1\n", "error: line 1: metric name already set while parsing: \"a{\\\"b\\\"\"\n"},
      {"a{b=\"\xff\"} 1\n", "error: line 1: invalid UTF-8 label value: \"\\xff\"\n"},
      {"a{b=\"c\"}{d=\"e\"} 1\n",
       "error: line 1: expected value after metric, got \"{\" while parsing: "
       "\"a{b=\\\"c\\\"}{\"\n"},
      {"a.b 1\n", "error: line 1: expected value after metric, got \".\" while parsing: \"a.\"\n"},
      {"9a 1\n", "error: line 1: expected a valid start token, got \"9\" while parsing: \"9\"\n"},
      {"a 1 -5\n",
       "error: line 1: expected timestamp or new record, got \"-\" while parsing: \"a 1 -\"\n"},
      {"a 1 5_\n",
       "error: line 1: expected next entry after timestamp, got \"_\" while parsing: \"a 1 5_\"\n"},
      {"a 1 5 6\n",
       "error: line 1: expected next entry after timestamp, got \"6\" while parsing: \"a 1 5 "
       "6\"\n"},
      {"a 1 9223372036854775808\n",
       "error: line 1: expected timestamp of at most 64 bits, got \"9\" while parsing: \"a 1 "
       "9\"\n"},
      {"# TYPE a info\n", "error: line 1: invalid metric type \"info\"\n"},
      {"# TYPE a  counter\n", "error: line 1: invalid metric type \" counter\"\n"},
      {"# TYPE a counter \n", "error: line 1: invalid metric type \"counter \"\n"},
      {"# TYPE #\n",
       "error: line 1: expected metric name after TYPE, got \"#\" while parsing: \"# TYPE #\"\n"},
      {"# HELP a \xff\n", "error: line 1: help text \"\\xff\" is not a valid utf8 string\n"},
  });
}

TEST(TextParser, LimitsHowMuchOfABadLineIsTold) {
  const std::string message = parsed<TextParser>("a{b=\"" + std::string(100'000, 'x') + "\"c} 1\n");
  EXPECT_LT(message.size(), 500u);
}

TEST(TextParser, ASeriesIsKnownByTheBytesBeforeItsValue) {
  TextParser parser("  a  1\na{b=\"c\"} 2 3\na { b=\"c\" }  2\n");
  std::vector<std::string> sections;
  while (parser.next() == EntryKind::kSeries) sections.emplace_back(parser.sample().section);
  EXPECT_EQ(sections, (std::vector<std::string>{"a", "a{b=\"c\"}", "a { b=\"c\" }"}));
}

}  // namespace
}  // namespace tarsier::ingest
