#include "ingest/exposition/openmetrics.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/ingest/parsed_exposition.h"

namespace tarsier::ingest {
namespace {

using namespace std::string_literals;

void expect_all(const std::vector<ParseCase>& cases) {
  for (const ParseCase& c : cases) {
    SCOPED_TRACE("input: " + c.input);
    EXPECT_EQ(parsed<OpenMetricsParser>(c.input), c.want);
  }
}

TEST(OpenMetricsParser, ReadsSamplesTimesAndExemplars) {
  expect_all({
      {"# EOF", ""},
      {"# EOF\n", ""},
      {"a 1\n# EOF\n", "a -> 1\n"},
      {"a{b=\"c\",} 1 1.5\n# EOF\n", "a b=[c] -> 1 @1500\n"},
      {"a 1 -0.0015\n# EOF\n", "a -> 1 @-1\n"},
      {"a 1 1520879607.789\n# EOF\n", "a -> 1 @1520879607789\n"},
      {"a_total 1 # {x=\"y\"} 4\n# EOF\n", "a_total -> 1 # {x=\"y\"} 4\n"},
      {"a_total 1 2 # {} 4 5.5\n# EOF\n", "a_total -> 1 @2000 # {} 4 @5500\n"},
      {"a{b=\" # {\"} 1 # {\"x.y\"=\"}\"} 4\n# EOF\n", "a b=[ # {] -> 1 # {\"x.y\"=\"}\"} 4\n"},
      {"{\"a.b\",c=\"d\"} 1\n# EOF", "a.b c=[d] -> 1\n"},
  });
}

TEST(OpenMetricsParser, ReadsMetadata) {
  expect_all({
      {"# HELP a_s say \\\"x\\\"\\n\n# TYPE a_s stateset\n# UNIT a_s s\n# UNIT b \n# EOF\n",
       "help a_s [say \"x\"\n]\ntype a_s stateset\nunit a_s [s]\nunit b []\n"},
      {"# HELP a nul\0nul\n# EOF\n"s, "help a [nul\0nul]\n"s},
      {"# TYPE a histogram\na_bucket{le=\"5\"} 1\n# EOF\n",
       "type a histogram\na_bucket le=[5.0] -> 1\n"},
  });
}

TEST(OpenMetricsParser, SaysWhatWasExpectedAndWhere) {
  const std::string no_end = "data does not end with # EOF\n";
  expect_all({
      {"", "error: line 1: " + no_end},
      {"a 1", "error: line 1: " + no_end},
      {"a 1\n", "a -> 1\nerror: line 2: " + no_end},
      {"a 1 # {x=\"y\"} 4", "error: line 1: " + no_end},
      {"# TYPE a gauge", "error: line 1: " + no_end},
      {"# EOF\n\n", "error: line 1: unexpected data after # EOF\n"},
      {"# EOFa 1", "error: line 1: unexpected data after # EOF\n"},
      {"a 1\n\n# EOF\n",
       "a -> 1\nerror: line 2: expected a valid start token, got \"\\n\" while parsing: \"\\n\"\n"},
      {" a 1\n# EOF\n",
       "error: line 1: expected a valid start token, got \" \" while parsing: \" \"\n"},
      {"#EOF\n", "error: line 1: expected a valid start token, got \"E\" while parsing: \"#E\"\n"},
      {"# comment\n",
       "error: line 1: expected a valid start token, got \" \" while parsing: \"# \"\n"},
      {"# TYPE u untyped\n", "error: line 1: invalid metric type \"untyped\"\n"},
      {"# TYPE c counter \n", "error: line 1: invalid metric type \"counter \"\n"},
      {"# TYPE m\n", "error: line 1: expected text in TYPE\n"},
      {"# HELP \n",
       "error: line 1: expected metric name after HELP, got \"\\n\" while parsing: \"# HELP "
       "\\n\"\n"},
      {"# UNIT metricsuffix suffix\n",
       "error: line 1: unit \"suffix\" not a suffix of metric \"metricsuffix\"\n"},
      {"# UNIT m suffix\n", "error: line 1: unit \"suffix\" not a suffix of metric \"m\"\n"},
      {"a\t1\n",
       "error: line 1: expected value after metric, got \"\\t\" while parsing: \"a\\t\"\n"},
      {"a  1\n", "error: line 1: expected value after metric, got \" \" while parsing: \"a  \"\n"},
      {"a 1 2 \n",
       "error: line 1: expected next entry after timestamp, got \" \" while parsing: \"a 1 2 \"\n"},
      {"a 1 \n",
       "error: line 1: expected timestamp or new record, got \"\\n\" while parsing: \"a 1 \\n\"\n"},
      {"a 1 1z\n", "error: line 1: expected a number, got \"1z\" while parsing: \"a 1 1z\"\n"},
      {"a 1 Inf\n", "error: line 1: invalid timestamp \"Inf\"\n"},
      {"a 1 1e30\n", "error: line 1: invalid timestamp \"1e30\"\n"},
      {"a{b=\"c\"d=\"e\"} 1\n",
       "error: line 1: expected comma or brace close, got \"d\" while parsing: "
       "\"a{b=\\\"c\\\"d\"\n"},
      {"a{b=\"c\"}1\n",
       "error: line 1: expected value after metric, got \"1\" while parsing: "
       "\"a{b=\\\"c\\\"}1\"\n"},
      {"a{b=\"x\ny\"} 1\n",
       "error: line 1: expected label value, got \"\\\"\" while parsing: \"a{b=\\\"\"\n"},
      {"a 1 # {x} 1\n", "error: line 1: expected equal, got \"}\" while parsing: \"{x}\"\n"},
      {"a 1 # {\"x\"} 1\n",
       "error: line 1: expected equal, got \"}\" while parsing: \"{\\\"x\\\"}\"\n"},
      {"a 1 # {x=\"y\"}\n",
       "error: line 1: expected value after exemplar labels, got \"\\n\" while parsing: "
       "\"a 1 # {x=\\\"y\\\"}\\n\"\n"},
      {"a 1 # {x=\"y\"} 1 NaN\n", "error: line 1: invalid timestamp \"NaN\"\n"},
      {"a 1 #\n", "error: line 1: expected a number, got \"#\" while parsing: \"a 1 #\"\n"},
  });
}

}  // namespace
}  // namespace tarsier::ingest
