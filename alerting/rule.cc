#include "alerting/rule.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"
#include "base/utf8.h"
#include "query/expression.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {
namespace {

bool is_label_name(std::string_view name, const RuleSyntax& syntax) {
  if (name == tsdb::kMetricName) return false;
  if (syntax.legacy_names) return tsdb::is_legacy_label_name(name);
  return !name.empty() && is_valid_utf8(name);
}

bool is_metric_name(std::string_view name, const RuleSyntax& syntax) {
  if (syntax.legacy_names) return tsdb::is_legacy_metric_name(name);
  return !name.empty() && is_valid_utf8(name);
}

std::string template_name(const RuleDefinition& rule) { return "__alert_" + rule.alert; }

class Checker final {
 public:
  Checker(const RuleDefinition& rule, const RuleSyntax& syntax) : rule_(rule), syntax_(syntax) {}

  std::vector<RuleProblem> run() {
    check_name();
    check_expression();
    if (rule_.is_alerting()) {
      check_templates(RuleField::kLabels, "label", rule_.labels);
      check_templates(RuleField::kAnnotations, "annotation", rule_.annotations);
    } else {
      check_recording();
    }
    check_names();
    return std::move(problems_);
  }

 private:
  void add(RuleField field, std::string text, std::string entry = {}) {
    problems_.push_back({field, std::move(entry), std::move(text)});
  }

  void check_name() {
    if (!rule_.record.empty() && !rule_.alert.empty()) {
      add(RuleField::kRule, "only one of 'record' and 'alert' must be set");
    } else if (rule_.record.empty() && rule_.alert.empty()) {
      add(RuleField::kRule, "one of 'record' or 'alert' must be set");
    } else if (!is_valid_utf8(rule_.alert)) {
      add(RuleField::kAlert, "invalid alert name: " + quote(rule_.alert));
    }
  }

  void check_expression() {
    if (rule_.expression.empty())
      return add(RuleField::kExpression, "field 'expr' must be set in rule");
    const auto parsed = query::parse_expression(rule_.expression, syntax_.expressions);
    if (!parsed.ok()) {
      add(RuleField::kExpression, "could not parse expression: " + parsed.status().message());
    }
  }

  void check_recording() {
    if (rule_.record.empty()) return;
    if (!rule_.annotations.empty()) {
      add(RuleField::kAnnotations, "invalid field 'annotations' in recording rule");
    }
    if (rule_.hold.ms != 0) add(RuleField::kFor, "invalid field 'for' in recording rule");
    if (rule_.keep_firing_for.ms != 0) {
      add(RuleField::kKeepFiringFor, "invalid field 'keep_firing_for' in recording rule");
    }
    if (!is_metric_name(rule_.record, syntax_)) {
      add(RuleField::kRecord, "invalid recording rule name: " + rule_.record);
    }
    if (rule_.record.find_first_of("{}") != std::string::npos) {
      add(RuleField::kRecord,
          "braces present in the recording rule name; should it be in expr?: " + rule_.record);
    }
  }

  void check_names() {
    for (const auto& [name, value] : rule_.labels) {
      if (!is_label_name(name, syntax_)) {
        add(RuleField::kLabels, "invalid label name: " + name, name);
      }
      if (!is_valid_utf8(value))
        add(RuleField::kLabels, "invalid label value: " + quote(value), name);
    }
    for (const auto& [name, value] : rule_.annotations) {
      if (!is_label_name(name, syntax_)) {
        add(RuleField::kAnnotations, "invalid annotation name: " + name, name);
      }
      if (!is_valid_utf8(value)) {
        add(RuleField::kAnnotations, "invalid annotation value: " + quote(value), name);
      }
    }
  }

  void check_templates(RuleField field, std::string_view kind, const LabelMap& texts) {
    for (const auto& [name, text] : texts) {
      const Result<TemplateText> parsed = TemplateText::parse(template_name(rule_), text);
      if (parsed.ok()) continue;
      add(field, fmt::format("{} {}: {}", kind, quote(name), parsed.status().message()), name);
    }
  }

  const RuleDefinition& rule_;
  const RuleSyntax& syntax_;
  std::vector<RuleProblem> problems_;
};

LabelMap merge(const LabelMap& below, const LabelMap& above) {
  LabelMap out = above;
  for (const auto& entry : below) {
    const bool is_own = std::any_of(above.begin(), above.end(),
                                    [&](const auto& own) { return own.first == entry.first; });
    if (!is_own) out.push_back(entry);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::vector<RuleProblem> check_rule(const RuleDefinition& rule, const RuleSyntax& syntax) {
  return Checker(rule, syntax).run();
}

Result<std::shared_ptr<const Rule>> Rule::compile(const RuleDefinition& rule,
                                                  const LabelMap& group_labels,
                                                  const RuleSyntax& syntax) {
  RuleDefinition merged = rule;
  merged.labels = merge(group_labels, rule.labels);
  const std::vector<RuleProblem> problems = check_rule(merged, syntax);
  if (!problems.empty()) return invalid(problems.front().text);
  const query::ExprPtr expression =
      TRY(query::parse_expression(rule.expression, syntax.expressions));
  const std::shared_ptr<Rule> out(new Rule);
  out->definition_ = rule;
  out->labels_ = std::move(merged.labels);
  out->query_ = query::canonical_text(*expression);
  out->selectors_ = query::selectors_of(*expression);
  out->identity_ = fmt::format("{}:{}", rule.is_alerting() ? "alert" : "record", rule.name());
  for (const auto& [name, value] : out->labels_) {
    out->identity_ += fmt::format(",{}={}", quote(name), quote(value));
  }
  if (rule.is_alerting()) {
    for (const auto& [name, text] : out->labels_) {
      out->label_templates_.push_back({name, TRY(TemplateText::parse(template_name(rule), text))});
    }
    for (const auto& [name, text] : rule.annotations) {
      out->annotation_templates_.push_back(
          {name, TRY(TemplateText::parse(template_name(rule), text))});
    }
  }
  return std::shared_ptr<const Rule>(out);
}

std::vector<std::string> Rule::warnings() const {
  std::vector<std::string> out;
  for (const Template& label : label_templates_) {
    if (!label.text.uses_value()) continue;
    out.push_back(fmt::format(
        "alert {}: label {} is made from the value, so the alert is another one at every change "
        "of it{}",
        quote(name()), quote(label.name),
        definition_.hold.ms > 0 ? " and may never be pending for long enough" : ""));
  }
  return out;
}

Result<RuleGroup> compile_group(RuleGroupDefinition definition, const RuleSyntax& syntax) {
  RuleGroup out;
  for (std::size_t i = 0; i < definition.rules.size(); ++i) {
    const RuleDefinition& rule = definition.rules[i];
    Result<std::shared_ptr<const Rule>> compiled = Rule::compile(rule, definition.labels, syntax);
    if (!compiled.ok()) {
      return std::move(compiled).status().with_prefix(
          fmt::format("group {}, rule {}, {}", quote(definition.name), i + 1, quote(rule.name())));
    }
    out.rules.push_back(std::move(*compiled));
  }
  out.definition = std::move(definition);
  return out;
}

}  // namespace tarsier::alerting
