#include "server/rule_test_file.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/api.h"
#include "base/file.h"
#include "base/quote.h"
#include "server/config_reader.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

using alerting::LabelMap;

/// A number as YAML has it: `1_000`, `0x10`, `1e3`, `.5`, `-.inf`, `.NaN`; nothing for other texts,
/// which are strings there.
std::optional<double> yaml_number(std::string text) {
  std::erase(text, '_');
  const bool is_negative = text.starts_with('-');
  std::string_view plain = text;
  if (is_negative || text.starts_with('+')) plain.remove_prefix(1);
  const double sign = is_negative ? -1 : 1;
  if (plain == ".inf" || plain == ".Inf" || plain == ".INF") {
    return sign * std::numeric_limits<double>::infinity();
  }
  if (plain == ".nan" || plain == ".NaN" || plain == ".NAN") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const int base = plain.starts_with("0x")   ? 16
                   : plain.starts_with("0o") ? 8
                   : plain.starts_with("0b") ? 2
                                             : 10;
  const char* const last = plain.data() + plain.size();
  if (base != 10) {
    std::uint64_t whole = 0;
    const auto [end, error] = std::from_chars(plain.data() + 2, last, whole, base);
    if (error != std::errc{} || end != last) return std::nullopt;
    return sign * static_cast<double>(whole);
  }
  double v = 0;
  const auto [end, error] = std::from_chars(plain.data(), last, v);
  const bool is_word = plain.empty() || (plain[0] != '.' && (plain[0] < '0' || plain[0] > '9'));
  if (is_word || error != std::errc{} || end != last) return std::nullopt;
  return sign * v;
}

class Reader final {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  Result<alerting::RuleTestFile> run(const YamlNode& root) {
    MapReader map(root, "", problems_);
    alerting::RuleTestFile file{.path = path_};
    map.read("rule_files", file.rule_files);
    for (std::string& pattern : file.rule_files) {
      const bool is_beside = path_.find('/') == std::string::npos;
      if (!pattern.starts_with('/') && !is_beside) {
        pattern = join_path(parent_path(path_), pattern);
      }
    }
    map.read("evaluation_interval", file.evaluation_interval);
    if (file.evaluation_interval.ms <= 0) file.evaluation_interval = minutes(1);
    map.read("group_eval_order", file.group_order);
    map.read("fuzzy_compare", file.fuzzy_compare);
    each(map, "tests", [&](const YamlNode& node, const std::string& at) {
      file.tests.push_back(read_test(node, at, file.evaluation_interval));
    });
    map.finish();
    if (!problems_.empty()) return invalid(fmt::format("{}: {}", path_, problems_.to_string()));
    return file;
  }

 private:
  /// Calls `read` for every entry of a list, with its place in the tree.
  void each(MapReader& map, std::string_view name, const auto& read) {
    const YamlNode* list = map.find_list(name);
    if (!list) return;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      read(list->items[i], fmt::format("{}[{}]", map.path_of(name), i));
    }
  }

  LabelMap read_map(MapReader& map, std::string_view name) {
    LabelMap out;
    const YamlNode* node = map.find(name);
    if (!node) return out;
    MapReader reader(*node, map.path_of(name), problems_);
    for (const auto& [key, value] : node->entries) {
      reader.find(key.text);
      const bool is_null = value.kind == YamlNode::Kind::kNull;
      out.emplace_back(key.text, is_null ? "" : read_text(value, map.path_of(name), problems_));
    }
    reader.finish();
    std::sort(out.begin(), out.end());
    return out;
  }

  void read_number(MapReader& map, std::string_view name, double& out) {
    const YamlNode* node = map.find(name);
    if (!node) return;
    const std::string text = read_text(*node, map.path_of(name), problems_);
    const std::optional<double> number = node->is_plain ? yaml_number(text) : std::nullopt;
    if (!number) {
      problems_.add(*node, fmt::format("cannot unmarshal !!str `{}` into {}, a number", node->text,
                                       map.path_of(name)));
    }
    out = number.value_or(0);
  }

  /// Unix seconds, or RFC 3339.
  void read_start(MapReader& map, Timestamp& out) {
    const YamlNode* node = map.find("start_timestamp");
    if (!node) return;
    const std::string text = read_text(*node, map.path_of("start_timestamp"), problems_);
    const Result<Timestamp> t = parse_api_time(text);
    if (t.ok()) {
      out = *t;
    } else {
      problems_.add(*node, fmt::format("cannot parse {} to a valid timestamp", quote(text)));
    }
  }

  alerting::RuleTest read_test(const YamlNode& node, const std::string& path, Duration interval) {
    MapReader map(node, path, problems_);
    alerting::RuleTest test{.interval = interval};
    map.read("name", test.name);
    map.read("interval", test.interval);
    if (test.interval.ms <= 0) test.interval = interval;
    read_start(map, test.start);
    test.external_labels = read_map(map, "external_labels");
    map.read("external_url", test.external_url);
    each(map, "input_series", [&](const YamlNode& entry, const std::string& at) {
      MapReader reader(entry, at, problems_);
      alerting::RuleTestSeries& series = test.input.emplace_back();
      reader.read("series", series.series);
      reader.read("values", series.values);
      reader.finish();
    });
    each(map, "alert_rule_test", [&](const YamlNode& entry, const std::string& at) {
      test.alert_cases.push_back(read_alert_case(entry, at));
    });
    each(map, "promql_expr_test", [&](const YamlNode& entry, const std::string& at) {
      test.expression_cases.push_back(read_expression_case(entry, at));
    });
    map.finish();
    return test;
  }

  alerting::AlertTestCase read_alert_case(const YamlNode& node, const std::string& path) {
    MapReader map(node, path, problems_);
    alerting::AlertTestCase out;
    map.read("eval_time", out.eval_time);
    map.read("alertname", out.alert);
    each(map, "exp_alerts", [&](const YamlNode& entry, const std::string& at) {
      MapReader reader(entry, at, problems_);
      alerting::ExpectedAlert& expected = out.expected.emplace_back();
      expected.labels = read_map(reader, "exp_labels");
      expected.annotations = read_map(reader, "exp_annotations");
      reader.finish();
    });
    map.finish();
    return out;
  }

  alerting::ExpressionTestCase read_expression_case(const YamlNode& node, const std::string& path) {
    MapReader map(node, path, problems_);
    alerting::ExpressionTestCase out;
    map.read("expr", out.expression);
    map.read("eval_time", out.eval_time);
    each(map, "exp_samples", [&](const YamlNode& entry, const std::string& at) {
      MapReader reader(entry, at, problems_);
      alerting::ExpectedSample& expected = out.expected.emplace_back();
      reader.read("labels", expected.labels);
      read_number(reader, "value", expected.value);
      reader.read("histogram", expected.histogram);
      reader.finish();
    });
    map.finish();
    return out;
  }

  const std::string& path_;
  Problems problems_;
};

}  // namespace

Result<alerting::RuleTestFile> parse_rule_test_file(std::string_view text,
                                                    const std::string& path) {
  Result<YamlNode> root = parse_yaml(text);
  if (!root.ok()) return std::move(root).status().with_prefix(path + ": yaml");
  return Reader(path).run(*root);
}

}  // namespace tarsier::server
