#include "server/slo_test_file.h"

#include <utility>

#include <fmt/format.h>

#include "alerting/slo_test.h"
#include "base/log.h"
#include "query/engine.h"
#include "server/config_reader.h"
#include "server/scratch_db.h"
#include "server/slo_file.h"
#include "server/stderr_logger.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

using alerting::SloTest;
using alerting::SloTestAlert;

SloTest read_test(const YamlNode& node, const std::string& path, Problems& problems) {
  MapReader map(node, path, problems);
  SloTest test;
  map.read("name", test.name);
  map.read("interval", test.interval);
  if (const YamlNode* list = map.find_list("input_series")) {
    for (const YamlNode& item : list->items) {
      MapReader one(item, path + ".input_series", problems);
      SloTest::Series& series = test.series.emplace_back();
      one.read("series", series.series);
      one.read("values", series.values);
      one.finish();
    }
  }
  if (const YamlNode* list = map.find_list("alerts")) {
    for (const YamlNode& item : list->items) {
      MapReader one(item, path + ".alerts", problems);
      SloTestAlert& alert = test.alerts.emplace_back();
      one.read("slo", alert.slo);
      one.read("severity", alert.severity);
      if (one.has("fired_at")) one.read("fired_at", alert.fired_at.emplace());
      one.finish();
    }
  }
  map.finish();
  return test;
}

}  // namespace

Result<std::vector<std::string>> run_slo_tests(FileSystem& files, const std::string& path) {
  const std::string text = TRY(read_file(files, path, kSloFileBytesMax));
  Result<YamlNode> root = parse_yaml(text);
  if (!root.ok()) return std::move(root).status().with_prefix(path + ": yaml");
  Problems problems;
  MapReader map(*root, "", problems);
  std::vector<std::string> patterns;
  map.read("slo_files", patterns);
  std::vector<SloTest> tests;
  if (const YamlNode* list = map.find_list("tests")) {
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      tests.push_back(read_test(list->items[i], fmt::format("tests[{}]", i), problems));
    }
  }
  map.finish();
  if (!problems.empty()) return invalid(fmt::format("{}: {}", path, problems.to_string()));
  for (std::string& pattern : patterns) {
    if (!pattern.starts_with('/')) pattern = join_path(parent_path(path), pattern);
  }
  const auto slos = TRY(read_slo_files(files, patterns));
  if (slos.empty()) return invalid(path + ": slo_files names no objectives");
  std::vector<std::string> failures;
  StderrLogger log(LogLevel::kError, LogFormat::kLogfmt);
  const query::Engine engine({}, nullptr);
  for (const SloTest& test : tests) {
    const std::unique_ptr<ScratchDb> scratch = TRY(ScratchDb::open(files, log));
    Status status = alerting::run_slo_test(test, slos, scratch->db(), engine, failures);
    if (!status.ok()) return std::move(status).with_prefix(fmt::format("{}: {}", path, test.name));
  }
  return failures;
}

}  // namespace tarsier::server
