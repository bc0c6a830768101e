#include "server/config_targets.h"

#include <utility>

#include <fmt/format.h>

#include "base/quote.h"
#include "server/config_fields.h"

namespace tarsier::server {

Result<std::vector<ingest::RelabelRule>> read_relabel(MapReader& map, std::string_view name,
                                                      std::string_view what,
                                                      ingest::NameValidation validation) {
  std::vector<ingest::RelabelRule> rules;
  const YamlNode* list = map.find_list(name);
  if (!list) return rules;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    if (item.kind == YamlNode::Kind::kNull) {
      return invalid_at(item, fmt::format("empty or null {}", what));
    }
    MapReader rule(item, fmt::format("{}[{}]", map.path_of(name), i), map.problems());
    ingest::RelabelConfig config;
    rule.read("source_labels", config.source_labels);
    rule.read("separator", config.separator);
    rule.read("regex", config.regex);
    rule.read("modulus", config.modulus);
    rule.read("target_label", config.target_label);
    rule.read("replacement", config.replacement);
    rule.read("action", config.action);
    rule.finish();
    Result<ingest::RelabelRule> created =
        ingest::RelabelRule::create(std::move(config), validation);
    if (!created.ok()) return invalid_at(item, created.status().message());
    rules.push_back(std::move(*created));
  }
  return rules;
}

Result<std::vector<ingest::TargetGroup>> read_static_configs(MapReader& map,
                                                             ingest::NameValidation validation) {
  std::vector<ingest::TargetGroup> groups;
  const YamlNode* list = map.find_list("static_configs");
  if (!list) return groups;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    if (item.kind == YamlNode::Kind::kNull) {
      return invalid_at(item, "empty or null section in static_configs");
    }
    MapReader reader(item, fmt::format("{}[{}]", map.path_of("static_configs"), i), map.problems());
    ingest::TargetGroup group;
    reader.read("targets", group.targets);
    for (const std::string& target : group.targets) {
      if (target.find('/') != std::string::npos) {
        return invalid_at(*reader.find("targets"),
                          fmt::format("{} is not a valid hostname", quote(target)));
      }
    }
    group.labels = TRY(read_labels(reader, "labels", validation,
                                   [](const YamlNode& value) { return value.text; }));
    reader.finish();
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace tarsier::server
