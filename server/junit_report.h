#pragma once

#include <string>
#include <vector>

#include "base/time.h"

namespace tarsier::server {

struct RuleTestResult {
  std::string name;
  std::vector<std::string> failures;
};

/// What became of the tests of one file.
struct RuleTestFileResult {
  std::string path;
  std::vector<RuleTestResult> tests;
  std::vector<std::string> errors;  ///< What kept tests from running.

  bool is_good() const;
};

/// The results as JUnit XML, in promtool's shape: a suite for each file with its counts (a test
/// that fails in two ways counts twice) and `at` in local time, a case for each test, and what kept
/// tests from running as the error of the last case, or of one called "unknown".
std::string junit_report(const std::vector<RuleTestFileResult>& results, Timestamp at);

}  // namespace tarsier::server
