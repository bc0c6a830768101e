#include "alerting/template_text.h"

#include <algorithm>
#include <utility>

#include "alerting/template/executor.h"
#include "alerting/template/function.h"
#include "alerting/template/node.h"
#include "alerting/template/parser.h"

namespace tarsier::alerting {
namespace {

/// Before every text, so that columns of error texts are the ones Prometheus gives.
constexpr std::string_view kVariables =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
    "{{$externalURL := .ExternalURL}}{{$value := .Value}}";

const ValueType kDataType{
    .name =
        "struct { Labels map[string]string; ExternalLabels map[string]string; "
        "ExternalURL string; Value interface {} }",
    .methods = {}};

bool is_function(std::string_view name) { return rule_functions().contains(name); }

bool reads_value(const Node& node, bool in_definitions) {
  const bool by_variable =
      node.type == NodeType::kVariable &&
      (node.names[0] == "$value" ||
       (node.names[0] == "$" && node.names.size() > 1 && node.names[1] == "Value"));
  const bool by_field = node.type == NodeType::kField && node.names[0] == "Value";
  if (!in_definitions && (by_variable || by_field)) return true;
  return std::any_of(node.children.begin(), node.children.end(), [&](const Node& child) {
    return reads_value(child, in_definitions && child.position < kVariables.size());
  });
}

}  // namespace

struct TemplateText::Parsed {
  std::string name;
  std::string text;
  bool is_literal = false;
  TemplateTrees trees;
};

Result<TemplateText> TemplateText::parse(std::string name, std::string_view text) {
  auto parsed = std::make_shared<Parsed>();
  parsed->name = std::move(name);
  parsed->text = std::string(text);
  parsed->is_literal = text.find("{{") == std::string_view::npos;
  if (!parsed->is_literal) {
    TRY(parse_template(parsed->name, std::string(kVariables) + parsed->text, is_function,
                       parsed->trees));
  }
  return TemplateText(std::move(parsed));
}

Result<std::string> TemplateText::expand(const TemplateSample& sample,
                                         const TemplateContext& context,
                                         const TemplateLimits& limits) const {
  if (parsed_->is_literal) return parsed_->text;
  const Value seen = sample_value(sample);
  ValueFields data;
  data.emplace_back("Labels", *seen.field("Labels"));
  data.emplace_back("ExternalLabels", Value::labels(context.external_labels));
  data.emplace_back("ExternalURL", Value(context.external_url));
  data.emplace_back("Value", *seen.field("Value"));
  FunctionContext functions{context.now, context.external_url, context.query, {}, {}};
  Executor executor(parsed_->trees, rule_functions(), std::move(functions), limits);
  Result<std::string> text =
      executor.run(parsed_->name, Value::structure(std::move(data), &kDataType));
  if (text.ok()) return text;
  return std::move(text).status().with_prefix("error executing template " + parsed_->name);
}

std::string TemplateText::expand_or_error(const TemplateSample& sample,
                                          const TemplateContext& context, bool& failed) const {
  Result<std::string> text = expand(sample, context);
  failed = !text.ok();
  if (text.ok()) return std::move(text).value();
  return "<error expanding template: " + text.status().message() + ">";
}

bool TemplateText::is_literal() const { return parsed_->is_literal; }

bool TemplateText::uses_value() const {
  return std::any_of(parsed_->trees.begin(), parsed_->trees.end(),
                     [](const auto& entry) { return reads_value(entry.second->root, true); });
}

}  // namespace tarsier::alerting
