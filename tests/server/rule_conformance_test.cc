// Shared rule files and rule unit tests with the verdicts their origin expects.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/cli_rules.h"

namespace tarsier::server {
namespace {

std::string conformance_directory() {
  const char* const set = std::getenv("TARSIER_CONFORMANCE");
  const std::string root = set ? set : std::string(TARSIER_SOURCE_DIR) + "/../shared/conformance";
  return root + "/rules/";
}

struct Case {
  bool is_test;
  std::string file;
  std::vector<std::string> options;
  int code;
};

TEST(RuleConformance, SharedFilesGetTheirExpectedVerdicts) {
  const std::string directory = conformance_directory();
  if (!std::filesystem::exists(directory + "EXPECTED.md")) {
    GTEST_SKIP() << "no conformance data at " << directory;
  }
  const std::vector<Case> cases = {
      {true, "unittest.yml", {}, 0},
      {true, "start-time-test.yml", {}, 0},
      {true, "no-test-group-interval.yml", {}, 0},
      {true, "at-modifier-test.yml", {}, 0},
      {true, "rules_run.yml", {}, 1},
      {true, "rules_run.yml", {"--run=correct"}, 0},
      {true, "rules_run.yml", {"--run=wrong"}, 1},
      {true, "rules_run.yml", {"--run=correct", "--run=wrong"}, 1},
      {true, "rules_run_extrafields.yml", {"--ignore-unknown-fields"}, 0},
      {true, "rules_run_extrafields.yml", {}, 1},
      {true, "rules_run_fuzzy.yml", {"--run=correct"}, 0},
      {true, "rules_run_fuzzy.yml", {"--run=wrong"}, 1},
      {true, "failing.yml", {}, 1},
      {true, "bad-input-series.yml", {}, 1},
      {true, "bad-rules-syntax-test.yml", {}, 1},
      {true, "bad-rules-error-test.yml", {}, 1},
      {false, "rules.yml", {}, 0},
      {false, "rules-bad.yml", {}, 1},
      {false, "rules_duplicates.yml", {}, 0},
      {false, "rules_duplicates.yml", {"--lint-fatal"}, 3},
      {false, "rules_extrafields.yml", {}, 1},
      {false, "rules_extrafields.yml", {"--ignore-unknown-fields"}, 0},
  };
  for (const Case& one : cases) {
    std::vector<std::string> arguments = one.options;
    arguments.push_back(directory + one.file);
    std::string text;
    const CommandOutput output{.out = [&](std::string_view t) { text += t; },
                               .err = [&](std::string_view t) { text += t; }};
    const int code = one.is_test ? test_rules(arguments, output) : check_rules(arguments, output);
    EXPECT_EQ(code, one.code) << fmt::format("{} {}\n", one.file, fmt::join(one.options, " "))
                              << text;
    if (one.file == "rules_duplicates.yml") {
      EXPECT_NE(text.find("1 duplicate rule(s) found.\nMetric: job:test:count_over_time1m\n"),
                std::string::npos)
          << text;
    }
  }
  std::cout << cases.size() << " cases of rule files and rule tests ran\n";
}

}  // namespace
}  // namespace tarsier::server
