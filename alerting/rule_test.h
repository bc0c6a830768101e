#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alerting/rule.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "query/engine.h"
#include "tsdb/appender.h"
#include "tsdb/querier.h"

namespace tarsier::alerting {

// Unit tests of rules, as promtool's files describe them. Plain data as a file has it; running one
// needs an empty storage.

struct RuleTestSeries {
  std::string series;  ///< `up{job="a"}`
  std::string values;  ///< `0 1+1x5 _ stale`
};

struct ExpectedAlert {
  LabelMap labels;  ///< Without `alertname`.
  LabelMap annotations;
};
struct AlertTestCase {
  Duration eval_time{0};
  std::string alert;
  std::vector<ExpectedAlert> expected;
};

struct ExpectedSample {
  std::string labels;
  double value = 0;
  std::string histogram;  ///< Empty: `value` counts.
};
struct ExpressionTestCase {
  std::string expression;
  Duration eval_time{0};
  std::vector<ExpectedSample> expected;
};

struct RuleTest {
  std::string name;
  Duration interval = minutes(1);  ///< Between input samples.
  Timestamp start{0};
  std::vector<RuleTestSeries> input;
  LabelMap external_labels;
  std::string external_url;
  std::vector<AlertTestCase> alert_cases;
  std::vector<ExpressionTestCase> expression_cases;
};

struct RuleTestFile {
  std::string path;
  std::vector<std::string> rule_files;  ///< Patterns, relative to the working directory.
  Duration evaluation_interval = minutes(1);
  std::vector<std::string> group_order;  ///< Groups not named here: any place.
  bool fuzzy_compare = false;            ///< Neighbouring doubles are equal.
  std::vector<RuleTest> tests;
};

struct RuleTestDoors {
  tsdb::Queryable& storage;  ///< Empty; used for this test alone.
  std::function<std::unique_ptr<tsdb::Appender>()> make_appender;
  query::EngineOptions engine;
  bool shows_difference = false;  ///< Failures as lines with - and +.
};

/// Runs one test; what failed, in promtool's form. Empty: it passed. All groups are evaluated at
/// every step, whatever their interval, and count as restored from the start.
std::vector<std::string> run_rule_test(const RuleTestFile& file, const RuleTest& test,
                                       const std::vector<RuleGroup>& groups,
                                       const RuleTestDoors& doors);

/// `groups` in the order the file asks for. kInvalid when it names one twice.
Result<std::vector<RuleGroup>> ordered_groups(std::vector<RuleGroup> groups,
                                              const std::vector<std::string>& order);

}  // namespace tarsier::alerting
