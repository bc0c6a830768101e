#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/engine.h"
#include "query/value.h"
#include "tsdb/querier.h"

namespace tarsier::testing {

/// Whatever can answer a query: the engine, or the oracle it is compared with.
struct PromqlEvaluator {
  std::function<Result<query::QueryResult>(tsdb::Queryable& storage,
                                           const query::QueryRequest& request)>
      ask;
  bool knows_experimental = false;  ///< Functions and syntax behind feature switches.
  bool knows_start_times = false;
};

/// What became of one script. `passed` + `skipped` + failures.size() == `run`.
struct PromqlReport {
  int run = 0;
  int passed = 0;
  std::map<std::string, int> skipped;  ///< Reason -> number of cases.
  std::vector<std::string> failures;   ///< "line 12: rate(x[5m]): want ..., got ...".

  int skipped_count() const;
  std::string summary()
      const;  ///< "31 cases: 20 passed, 0 failed, 11 skipped (7 experimental, ...)".
};

/// Runs a script in the language of Prometheus' promqltest: load, clear, eval instant, eval range,
/// with every form of expectation, and the implicit re-evaluation of each passing instant case as a
/// range query and with `@` added at other times. Cases are skipped, not failed, when they need
/// what the evaluator does not know: experimental language, or start timestamps.
PromqlReport run_promqltest(std::string_view script, const PromqlEvaluator& evaluate);

/// Scripts in a folder, sorted by name; empty if there is none.
std::vector<std::string> list_scripts(const std::string& directory);

/// Runs one script file, prints its summary, and fails the current test for every failure.
void expect_script_passes(const std::string& path, const PromqlEvaluator& evaluate);

}  // namespace tarsier::testing
