#include "ingest/exposition/openmetrics_rules.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tarsier::ingest {
namespace {

struct Case {
  std::string body;  // Without the end line.
  std::string want;  // The message; empty if the rules allow it.
};

void expect_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE("body:\n" + c.body);
    EXPECT_EQ(check_openmetrics(c.body + "# EOF\n").message(), c.want);
  }
}

TEST(OpenMetricsRules, AllowWhatTheSpecificationAllows) {
  expect_all({
      {"", ""},
      {"a 1\nb NaN\n", ""},
      {"# HELP a \n# UNIT a \n# TYPE a counter\na_total 1\na_created 5\n", ""},
      {"# TYPE a histogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\na_count 2\n", ""},
      {"# TYPE a histogram\na_bucket{x=\"1\",le=\"+Inf\"} 2\na_count{x=\"1\"} 2\na_sum{x=\"1\"} 1\n"
       "a_bucket{x=\"2\",le=\"+Inf\"} 2\n",
       ""},
      {"# TYPE a histogram\na_bucket{le=\"1\"} 1 1\na_bucket{le=\"+Inf\"} 2 1\n"
       "a_bucket{le=\"1\"} 1 2\na_bucket{le=\"+Inf\"} 2 2\n",
       ""},
      {"# TYPE a gaugehistogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 2\na_gcount 2\n"
       "a_gsum -3\n",
       ""},
      {"# TYPE a summary\na{quantile=\"0\"} 1\na{quantile=\"1\"} NaN\na_count 1\na_sum 2\n", ""},
      {"# TYPE a stateset\na{a=\"on\"} 1\na{a=\"off\"} 0\n", ""},
      {"# TYPE a info\na_info{v=\"1\"} 1\n", ""},
      {"a{x=\"1\"} 1 1\na{x=\"1\"} 2 1\na{x=\"1\"} 3 2\n", ""},
  });
}

TEST(OpenMetricsRules, NameTheBrokenRuleAndItsLine) {
  expect_all({
      {"a{b=\"c\",} 1\n", "line 1: trailing comma in labels"},
      {"a{b=\"c\",b=\"d\"} 1\n", "line 1: duplicate label name \"b\""},
      {"a{\"b\"=\"c\"} 1\n", "line 1: invalid label name \"b\""},
      {"{\"a\"} 1\n", "line 1: quoted metric name"},
      {"# TYPE a gauge\n# TYPE a gauge\n", "line 2: repeated metadata for a"},
      {"a 1\n# HELP a x\n", "line 2: metadata of a after its samples"},
      {"# TYPE a_s info\n# UNIT a_s s\n", "line 3: a_s of type info has a unit"},
      {"# TYPE a counter\n# TYPE a_created gauge\n",
       "line 3: a and a_created clash over the name a_created"},
      {"a 1\nb 1\na 2\n", "line 4: samples of a are not together"},
      {"a{x=\"1\"} 1\na{x=\"2\"} 1\na{x=\"1\"} 1\n",
       "line 3: samples of a{x=\"1\",} are not together"},
      {"a 1 5\na 1 4\n", "line 2: timestamps go back"},
      {"a 1 5\na 1\n", "line 2: only some samples have timestamps"},
      {"# TYPE a histogram\na_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\n",
       "line 3: buckets are not in order"},
      {"# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"2\"} 1\n",
       "line 3: bucket counts decrease"},
      {"# TYPE a histogram\na_bucket{le=\"1\"} 2\n", "line 3: histogram without a +Inf bucket"},
      {"# TYPE a histogram\na_bucket{le=\"Inf\"} 2\n", "line 2: +Inf is misspelled"},
      {"# TYPE a histogram\na_bucket 2\n", "line 2: invalid le \"\""},
      {"# TYPE a histogram\na 2\n", "line 2: histogram sample without a suffix"},
      {"# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_count 3\na_sum 1\n",
       "line 5: count differs from the +Inf bucket"},
      {"# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_count 2\n",
       "line 4: count and sum come together"},
      {"# TYPE a histogram\na_bucket{le=\"-1\"} 2\na_bucket{le=\"+Inf\"} 2\na_sum 2\n",
       "line 5: histogram with a negative bucket has a _sum"},
      {"# TYPE a counter\na 1\n", "line 2: counter sample without _total"},
      {"# TYPE a counter\na_total -1\n", "line 2: counter is negative"},
      {"# TYPE a summary\na{quantile=\"1.5\"} 1\n", "line 2: invalid quantile \"1.5\""},
      {"# TYPE a summary\na_sum NaN\n", "line 2: _sum is NaN"},
      {"# TYPE a stateset\na{b=\"x\"} 1\n",
       "line 2: stateset sample without the label of its state"},
      {"# TYPE a stateset\na{a=\"x\"} 2\n", "line 2: stateset value is neither 0 nor 1"},
      {"# TYPE a info\na_info 2\n", "line 2: info value is not 1"},
      {"a 1 # {x=\"y\"} 1\n", "line 1: exemplar on a sample that cannot have one"},
      {"# TYPE a counter\na_total 1 # {x=\"" + std::string(128, 'y') + "\"} 1\n",
       "line 2: exemplar labels have 129 characters, more than 128"},
  });
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(OpenMetricsRules, PassTheSharedConformanceCases) {
  const char* const elsewhere = std::getenv("TARSIER_CONFORMANCE");
  const std::filesystem::path root =
      elsewhere != nullptr
          ? std::filesystem::path(elsewhere)
          : std::filesystem::path(TARSIER_SOURCE_DIR).parent_path() / "shared" / "conformance";
  const std::filesystem::path cases = root / "openmetrics" / "parsers";
  if (!std::filesystem::exists(cases)) GTEST_SKIP() << "no shared cases at " << cases;
  int run = 0;
  int passed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cases)) {
    if (!entry.is_directory()) continue;
    const std::string description = read_file(entry.path() / "test.json");
    const std::string key = "\"shouldParse\":";
    const std::size_t at = description.find(key);
    ASSERT_NE(at, std::string::npos) << entry.path();
    const std::size_t word = description.find_first_not_of(" \t\n", at + key.size());
    const bool should_parse = description.compare(word, 4, "true") == 0;
    const Status status = check_openmetrics(read_file(entry.path() / "metrics"));
    EXPECT_EQ(status.ok(), should_parse) << entry.path().filename() << ": " << status.message();
    ++run;
    passed += status.ok() == should_parse;
  }
  std::cout << "OpenMetrics parser cases: " << run << " run, " << passed << " passed\n";
  EXPECT_GT(run, 0);
}

}  // namespace
}  // namespace tarsier::ingest
