#include "ingest/relabel_json.h"

namespace tarsier::ingest {

void write_relabel_rule_json(JsonWriter& out, const RelabelRule& rule) {
  const RelabelConfig& config = rule.config();
  out.begin_object();
  if (!config.source_labels.empty()) {
    out.key("source_labels").begin_array();
    for (const std::string& name : config.source_labels) out.value(std::string_view(name));
    out.end_array();
  }
  out.field("separator", std::string_view(config.separator));
  out.field("regex", std::string_view(config.regex));
  if (config.modulus > 0) out.field("modulus", config.modulus);
  if (!config.target_label.empty()) {
    out.field("target_label", std::string_view(config.target_label));
  }
  out.field("replacement", std::string_view(config.replacement));
  out.field("action", relabel_action_name(rule.action()));
  out.end_object();
}

std::optional<std::size_t> dropping_rule(std::span<const RelabelRule> rules,
                                         const tsdb::Labels& labels) {
  tsdb::LabelsBuilder builder(labels);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!rules[i].apply(builder)) return i;
  }
  return std::nullopt;
}

}  // namespace tarsier::ingest
