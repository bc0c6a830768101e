#include "server/rule_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/quote.h"
#include "server/config_reader.h"
#include "server/glob.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

using alerting::LabelMap;
using alerting::RuleDefinition;
using alerting::RuleField;
using alerting::RuleGroupDefinition;
using alerting::RuleProblem;

const YamlNode* child(const YamlNode& map, std::string_view name) {
  for (const auto& [key, value] : map.entries) {
    if (key.text == name) return &value;
  }
  return nullptr;
}

std::string_view field_name(RuleField field) {
  switch (field) {
    case RuleField::kRule: return "";
    case RuleField::kRecord: return "record";
    case RuleField::kAlert: return "alert";
    case RuleField::kExpression: return "expr";
    case RuleField::kFor: return "for";
    case RuleField::kKeepFiringFor: return "keep_firing_for";
    case RuleField::kLabels: return "labels";
    case RuleField::kAnnotations: return "annotations";
  }
  return "";
}

/// Where in the file the thing stands that is at fault.
const YamlNode& place_of(const YamlNode& rule, const RuleProblem& problem) {
  const YamlNode* const field = child(rule, field_name(problem.field));
  if (!field) return rule;
  const YamlNode* const entry = problem.entry.empty() ? nullptr : child(*field, problem.entry);
  return entry ? *entry : *field;
}

class Reader final {
 public:
  Reader(const std::string& path, const RuleFileOptions& options)
      : path_(path), options_(options) {}

  Result<std::vector<RuleGroupDefinition>> run(const YamlNode& root) {
    MapReader map(root, "", problems_);
    std::vector<RuleGroupDefinition> groups;
    if (const YamlNode* list = map.find_list("groups")) {
      for (std::size_t i = 0; i < list->items.size(); ++i) {
        if (list->items[i].kind == YamlNode::Kind::kNull) continue;
        groups.push_back(read_group(list->items[i], fmt::format("groups[{}]", i)));
      }
    }
    finish(map);
    if (!problems_.empty()) return invalid(fmt::format("{}: {}", path_, problems_.to_string()));
    if (!errors_.empty()) return invalid(fmt::format("{}", fmt::join(errors_, "\n")));
    return groups;
  }

 private:
  void error(const YamlNode& at, std::string_view text) {
    errors_.push_back(fmt::format("{}: {}:{}: {}", path_, at.line, at.column, text));
  }

  void finish(MapReader& map) {
    if (!options_.ignore_unknown_fields) map.finish();
  }

  LabelMap read_map(MapReader& map, std::string_view name) {
    LabelMap out;
    const YamlNode* node = map.find(name);
    if (!node) return out;
    const std::string path = map.path_of(name);
    MapReader reader(*node, path, problems_);
    for (const auto& [key, value] : node->entries) {
      reader.find(key.text);
      const bool is_null = value.kind == YamlNode::Kind::kNull;
      out.emplace_back(
          key.text,
          is_null ? "" : read_text(value, fmt::format("{}.{}", path, key.text), problems_));
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  RuleGroupDefinition read_group(const YamlNode& node, const std::string& path) {
    MapReader map(node, path, problems_);
    RuleGroupDefinition group{.file = path_};
    map.read("name", group.name);
    if (map.has("interval")) {
      Duration interval{0};
      map.read("interval", interval);
      if (interval.ms > 0) group.interval = interval;
    }
    if (map.has("query_offset")) map.read("query_offset", group.query_offset.emplace());
    // A negative one is none, as 0 is.
    const YamlNode* const limit = map.find("limit");
    if (limit == nullptr || !limit->text.starts_with('-')) map.read("limit", group.limit);
    group.labels = read_map(map, "labels");
    if (options_.ignore_unknown_fields) map.find("partial_response_strategy");
    if (group.name.empty()) {
      error(node, "Groupname must not be empty");
    } else if (!names_.insert(group.name).second) {
      error(*map.find("name"),
            fmt::format("groupname: {} is repeated in the same file", quote(group.name)));
    }
    check_group_labels(node, group);
    if (const YamlNode* list = map.find_list("rules")) {
      for (std::size_t i = 0; i < list->items.size(); ++i) {
        if (list->items[i].kind == YamlNode::Kind::kNull) continue;
        group.rules.push_back(read_rule(list->items[i], fmt::format("{}.rules[{}]", path, i)));
        check(list->items[i], group, group.rules.size() - 1);
      }
    }
    finish(map);
    return group;
  }

  RuleDefinition read_rule(const YamlNode& node, const std::string& path) {
    MapReader map(node, path, problems_);
    RuleDefinition rule;
    map.read("record", rule.record);
    map.read("alert", rule.alert);
    map.read("expr", rule.expression);
    map.read("for", rule.hold);
    map.read("keep_firing_for", rule.keep_firing_for);
    rule.labels = read_map(map, "labels");
    rule.annotations = read_map(map, "annotations");
    finish(map);
    return rule;
  }

  void check(const YamlNode& node, const RuleGroupDefinition& group, std::size_t index) {
    const RuleDefinition& rule = group.rules[index];
    for (const RuleProblem& problem : alerting::check_rule(rule, options_.syntax)) {
      error(place_of(node, problem), fmt::format("group {}, rule {}, {}: {}", quote(group.name),
                                                 index + 1, quote(rule.name()), problem.text));
    }
  }

  /// A group's labels are those of every rule: they are told of once.
  void check_group_labels(const YamlNode& node, const RuleGroupDefinition& group) {
    RuleDefinition carrier{.record = "x", .expression = "1", .labels = group.labels};
    for (const RuleProblem& problem : alerting::check_rule(carrier, options_.syntax)) {
      if (problem.field != RuleField::kLabels) continue;
      error(place_of(node, problem), fmt::format("group {}: {}", quote(group.name), problem.text));
    }
  }

  const std::string& path_;
  const RuleFileOptions& options_;
  Problems problems_;
  std::vector<std::string> errors_;
  std::set<std::string> names_;
};

}  // namespace

Result<std::vector<RuleGroupDefinition>> parse_rule_file(std::string_view text,
                                                         const std::string& path,
                                                         const RuleFileOptions& options) {
  Result<YamlNode> root = parse_yaml(text);
  if (!root.ok()) return std::move(root).status().with_prefix(path + ": yaml");
  return Reader(path, options).run(*root);
}

Result<std::vector<RuleGroupDefinition>> read_rule_files(FileSystem& files,
                                                         const std::vector<std::string>& patterns,
                                                         const RuleFileOptions& options) {
  std::vector<RuleGroupDefinition> out;
  std::vector<std::string> errors;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    for (const std::string& path : expand_glob(files, pattern)) {
      if (!files.exists(path) || !seen.insert(path).second) continue;
      const Result<std::string> text = read_file(files, path, kRuleFileBytesMax);
      Result<std::vector<RuleGroupDefinition>> groups =
          text.ok() ? parse_rule_file(*text, path, options)
                    : Result<std::vector<RuleGroupDefinition>>(text.status());
      if (!groups.ok()) {
        errors.push_back(groups.status().message());
        continue;
      }
      std::move(groups->begin(), groups->end(), std::back_inserter(out));
    }
  }
  if (!errors.empty()) return invalid(fmt::format("{}", fmt::join(errors, "\n")));
  return out;
}

}  // namespace tarsier::server
