// Our own scripts, and when they are at hand Prometheus' conformance scripts, answered by the
// oracle and by the engine.

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/query/promqltest.h"
#include "tests/query/reference_engine.h"

namespace tarsier::testing {
namespace {

/// The settings promqltest scripts are written for.
query::EngineOptions script_options() {
  return {.lookback_delta = minutes(5),
          .subquery_step = minutes(1),
          .experimental_functions = true,
          .extended_range_selectors = true,
          .binary_fill_modifiers = true,
          .start_timestamps = true,
          .delayed_name_removal = true};
}

Result<query::QueryResult> ask_oracle(tsdb::Queryable& storage,
                                      const query::QueryRequest& request) {
  return evaluate_reference(storage, request, script_options());
}

Result<query::QueryResult> ask_engine(tsdb::Queryable& storage,
                                      const query::QueryRequest& request) {
  const query::Engine engine(script_options(), nullptr);
  const query::PreparedQuery prepared = TRY(engine.prepare(request));
  return engine.run(storage, prepared, nullptr);
}

const PromqlEvaluator kOracle = {.ask = ask_oracle};
const PromqlEvaluator kEngine = {
    .ask = ask_engine, .knows_experimental = true, .knows_start_times = true};

std::string conformance_directory() {
  const char* override_path = std::getenv("TARSIER_CONFORMANCE");
  const std::string root =
      override_path ? override_path : std::string(TARSIER_SOURCE_DIR) + "/../shared/conformance";
  return root + "/promql";
}

std::string own_directory() { return std::string(TARSIER_SOURCE_DIR) + "/tests/query/scripts"; }

void run_scripts(const std::string& directory, const PromqlEvaluator& evaluate) {
  for (const std::string& path : list_scripts(directory)) expect_script_passes(path, evaluate);
}

void run_shared_scripts(const PromqlEvaluator& evaluate) {
  if (list_scripts(conformance_directory()).empty()) {
    GTEST_SKIP() << "no conformance scripts in " << conformance_directory();
  }
  run_scripts(conformance_directory(), evaluate);
}

TEST(OwnScripts, TheOraclePasses) { run_scripts(own_directory(), kOracle); }
TEST(OwnScripts, TheEnginePasses) { run_scripts(own_directory(), kEngine); }
TEST(SharedScripts, TheOraclePasses) { run_shared_scripts(kOracle); }
TEST(SharedScripts, TheEnginePasses) { run_shared_scripts(kEngine); }

}  // namespace
}  // namespace tarsier::testing
