#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/alert.h"
#include "alerting/template_text.h"
#include "base/result.h"
#include "base/time.h"
#include "query/parse.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

/// Names with values as a rule file writes them, sorted by name; values may be empty.
using LabelMap = std::vector<std::pair<std::string, std::string>>;

/// One rule as it stands in a file.
struct RuleDefinition {
  std::string record;  ///< Exactly one of `record` and `alert` is set.
  std::string alert;
  std::string expression;
  Duration hold{0};  ///< `for`
  Duration keep_firing_for{0};
  LabelMap labels;
  LabelMap annotations;

  bool is_alerting() const { return !alert.empty(); }
  const std::string& name() const { return is_alerting() ? alert : record; }
  bool operator==(const RuleDefinition&) const = default;
};

/// One group as it stands in a file.
struct RuleGroupDefinition {
  std::string file;  ///< As resolved from the configuration.
  std::string name;
  std::optional<Duration> interval;      ///< Absent: the global evaluation interval.
  std::optional<Duration> query_offset;  ///< Absent: the global one. An explicit zero is zero.
  std::uint64_t limit = 0;               ///< Series or alerts per rule; 0 is none.
  LabelMap labels;                       ///< Below each rule's own.
  std::vector<RuleDefinition> rules;

  /// `file;name`: the identity of a group, in metrics too.
  std::string key() const { return file + ";" + name; }
  bool operator==(const RuleGroupDefinition&) const = default;
};

/// What the text of rules may contain.
struct RuleSyntax {
  query::ParseOptions expressions;
  bool legacy_names = false;  ///< Label and metric names in the classic ASCII sets only.
};

/// Where in a rule something is wrong, so that a reader of files can find the line.
enum class RuleField : unsigned char {
  kRule,
  kRecord,
  kAlert,
  kExpression,
  kFor,
  kKeepFiringFor,
  kLabels,
  kAnnotations,
};
struct RuleProblem {
  RuleField field = RuleField::kRule;
  std::string entry;  ///< The name of the label or annotation, where one is at fault.
  std::string text;
};

/// Everything that is wrong with a rule, in Prometheus' words; empty if nothing is.
std::vector<RuleProblem> check_rule(const RuleDefinition& rule, const RuleSyntax& syntax);

/// A rule made ready to run: expression parsed, labels of its group merged in, templates parsed.
/// Immutable; any number of threads.
class Rule final {
 public:
  /// kInvalid with the first of `check_rule`'s problems.
  static Result<std::shared_ptr<const Rule>> compile(const RuleDefinition& rule,
                                                     const LabelMap& group_labels,
                                                     const RuleSyntax& syntax);

  const RuleDefinition& definition() const { return definition_; }
  bool is_alerting() const { return definition_.is_alerting(); }
  const std::string& name() const { return definition_.name(); }
  const LabelMap& labels() const { return labels_; }   ///< With the group's.
  const std::string& query() const { return query_; }  ///< Canonical.
  const std::vector<std::vector<tsdb::Matcher>>& selectors() const { return selectors_; }
  /// What makes it the same rule after a reload: its name and its merged labels.
  const std::string& identity() const { return identity_; }

  struct Template {
    std::string name;
    TemplateText text;
  };
  const std::vector<Template>& label_templates() const { return label_templates_; }
  const std::vector<Template>& annotation_templates() const { return annotation_templates_; }
  /// What is suspicious without being wrong, in words for the log.
  std::vector<std::string> warnings() const;

 private:
  Rule() = default;
  RuleDefinition definition_;
  LabelMap labels_;
  std::string query_;
  std::string identity_;
  std::vector<std::vector<tsdb::Matcher>> selectors_;
  std::vector<Template> label_templates_;
  std::vector<Template> annotation_templates_;
};

/// A group whose rules are ready to run.
struct RuleGroup {
  RuleGroupDefinition definition;
  std::vector<std::shared_ptr<const Rule>> rules;
};
/// kInvalid naming group and rule.
Result<RuleGroup> compile_group(RuleGroupDefinition definition, const RuleSyntax& syntax);

}  // namespace tarsier::alerting
