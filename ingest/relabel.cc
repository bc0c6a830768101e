#include "ingest/relabel.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/md5.h"
#include "base/quote.h"
#include "base/unicode_case.h"
#include "base/utf8.h"

namespace tarsier::ingest {
namespace {

constexpr std::array<std::pair<std::string_view, RelabelAction>, 11> kActions = {{
    {"replace", RelabelAction::kReplace},
    {"keep", RelabelAction::kKeep},
    {"drop", RelabelAction::kDrop},
    {"keepequal", RelabelAction::kKeepEqual},
    {"dropequal", RelabelAction::kDropEqual},
    {"hashmod", RelabelAction::kHashMod},
    {"labelmap", RelabelAction::kLabelMap},
    {"labeldrop", RelabelAction::kLabelDrop},
    {"labelkeep", RelabelAction::kLabelKeep},
    {"lowercase", RelabelAction::kLowercase},
    {"uppercase", RelabelAction::kUppercase},
}};

const RelabelConfig kDefault;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool has_reference(std::string_view text) { return text.find('$') != std::string_view::npos; }

/// A label name in which `$name` and `${name}` may stand for parts.
bool is_legacy_name_template(std::string_view text) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_word(text[i])) continue;
    if (text[i] != '$') return false;
    const bool braced = i + 1 < text.size() && text[i + 1] == '{';
    const std::size_t start = i + (braced ? 2 : 1);
    std::size_t end = start;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end == start) return false;
    if (braced && (end == text.size() || text[end] != '}')) return false;
    i = braced ? end : end - 1;
  }
  return true;
}

bool is_valid_template(std::string_view text, NameValidation validation) {
  return validation == NameValidation::kUtf8 ? is_valid_label_name(text, validation)
                                             : is_legacy_name_template(text);
}

bool needs_target(RelabelAction action) {
  switch (action) {
    case RelabelAction::kReplace:
    case RelabelAction::kHashMod:
    case RelabelAction::kLowercase:
    case RelabelAction::kUppercase:
    case RelabelAction::kKeepEqual:
    case RelabelAction::kDropEqual: return true;
    default: return false;
  }
}

Status check_target(const RelabelConfig& config, RelabelAction action, NameValidation validation) {
  if (!needs_target(action)) return {};
  const std::string_view name = relabel_action_name(action);
  if (config.target_label.empty()) {
    return invalid(
        fmt::format("relabel configuration for {} action requires 'target_label' value", name));
  }
  const bool is_template = action == RelabelAction::kReplace && has_reference(config.target_label);
  const bool is_valid = is_template ? is_valid_template(config.target_label, validation)
                                    : is_valid_label_name(config.target_label, validation);
  if (is_valid) return {};
  return invalid(
      fmt::format("{} is invalid 'target_label' for {} action", quote(config.target_label), name));
}

/// Fields that would be silently ignored are refused.
Status check_unused_fields(const RelabelConfig& config, RelabelAction action) {
  const std::string_view name = relabel_action_name(action);
  const bool changes_case =
      action == RelabelAction::kLowercase || action == RelabelAction::kUppercase;
  const bool compares = action == RelabelAction::kKeepEqual || action == RelabelAction::kDropEqual;
  const bool filters_names =
      action == RelabelAction::kLabelDrop || action == RelabelAction::kLabelKeep;
  if ((changes_case || compares) && config.replacement != kDefault.replacement) {
    return invalid(fmt::format("'replacement' can not be set for {} action", name));
  }
  const bool has_extras = config.modulus != kDefault.modulus ||
                          config.separator != kDefault.separator ||
                          config.replacement != kDefault.replacement;
  if (compares && (has_extras || config.regex != kDefault.regex)) {
    return invalid(fmt::format(
        "{} action requires only 'source_labels' and 'target_label', and no other fields", name));
  }
  if (filters_names &&
      (has_extras || !config.source_labels.empty() || !config.target_label.empty())) {
    return invalid(fmt::format("{} action requires only 'regex', and no other fields", name));
  }
  return {};
}

Result<RelabelAction> parse_action(std::string_view text) {
  if (text.empty()) return invalid("relabel action cannot be empty");
  const std::string lower = to_lower_case(text);
  for (const auto& [name, action] : kActions) {
    if (name == lower) return action;
  }
  return invalid(fmt::format("unknown relabel action {}", quote(text)));
}

std::string joined_values(const RelabelConfig& config, const tsdb::LabelsBuilder& labels) {
  std::string joined;
  for (std::size_t i = 0; i < config.source_labels.size(); ++i) {
    if (i > 0) joined += config.separator;
    joined += labels.get(config.source_labels[i]);
  }
  return joined;
}

/// Shards are compared between servers, so the hash is part of the configuration language.
std::uint64_t shard_hash(std::string_view text) {
  return load_be<std::uint64_t>(md5(as_bytes(text)).data() + 8);
}

}  // namespace

bool is_valid_label_name(std::string_view name, NameValidation validation) {
  if (validation == NameValidation::kLegacy) return tsdb::is_legacy_label_name(name);
  return !name.empty() && is_valid_utf8(name);
}

bool is_valid_metric_name(std::string_view name, NameValidation validation) {
  if (validation == NameValidation::kLegacy) return tsdb::is_legacy_metric_name(name);
  return !name.empty() && is_valid_utf8(name);
}

std::string_view relabel_action_name(RelabelAction action) {
  return kActions[static_cast<std::size_t>(action)].first;
}

Result<RelabelRule> RelabelRule::create(RelabelConfig config, NameValidation validation) {
  const RelabelAction action = TRY(parse_action(config.action));
  if (action == RelabelAction::kHashMod && config.modulus == 0) {
    return invalid("relabel configuration for hashmod requires non-zero modulus");
  }
  TRY(check_target(config, action, validation));
  TRY(check_unused_fields(config, action));
  if (action == RelabelAction::kLabelMap && !is_valid_template(config.replacement, validation)) {
    return invalid(
        fmt::format("{} is invalid 'replacement' for labelmap action", quote(config.replacement)));
  }
  Regex regex = TRY(Regex::compile(config.regex));
  return RelabelRule(std::move(config), action, std::move(regex), validation);
}

RelabelRule::RelabelRule(RelabelConfig config, RelabelAction action, Regex regex,
                         NameValidation validation)
    : config_(std::move(config)),
      action_(action),
      validation_(validation),
      is_constant_(config_.regex == kDefault.regex && !has_reference(config_.target_label) &&
                   !has_reference(config_.replacement)),
      regex_(std::move(regex)) {}

bool RelabelRule::apply(tsdb::LabelsBuilder& labels) const {
  const std::string joined = joined_values(config_, labels);
  const std::string& target = config_.target_label;
  switch (action_) {
    case RelabelAction::kKeep: return regex_.full_match(joined);
    case RelabelAction::kDrop: return !regex_.full_match(joined);
    case RelabelAction::kKeepEqual: return labels.get(target) == joined;
    case RelabelAction::kDropEqual: return labels.get(target) != joined;
    case RelabelAction::kReplace: replace(labels, joined); return true;
    case RelabelAction::kHashMod:
      labels.set(target, std::to_string(shard_hash(joined) % config_.modulus));
      return true;
    case RelabelAction::kLowercase: labels.set(target, to_lower_case(joined)); return true;
    case RelabelAction::kUppercase: labels.set(target, to_upper_case(joined)); return true;
    case RelabelAction::kLabelMap: map_names(labels); return true;
    case RelabelAction::kLabelDrop:
    case RelabelAction::kLabelKeep: {
      const auto pairs = labels.pairs();  // A copy: the loop changes the original.
      const bool drops = action_ == RelabelAction::kLabelDrop;
      for (const auto& [name, value] : pairs) {
        if (regex_.full_match(name) == drops) labels.remove(name);
      }
      return true;
    }
  }
  CHECK(false, "unknown relabel action");
  return true;
}

void RelabelRule::replace(tsdb::LabelsBuilder& labels, std::string_view joined) const {
  if (is_constant_) {  // `(.*)` matches everything.
    labels.set(config_.target_label, config_.replacement);
    return;
  }
  std::vector<std::string_view> groups;
  if (!regex_.full_match(joined, groups)) return;
  const std::string target = regex_.expand(config_.target_label, groups);
  if (!is_valid_label_name(target, validation_)) return;
  labels.set(target, regex_.expand(config_.replacement, groups));
}

void RelabelRule::map_names(tsdb::LabelsBuilder& labels) const {
  const auto pairs = labels.pairs();  // A copy: names are taken from the state before the rule.
  std::vector<std::string_view> groups;
  for (const auto& [name, value] : pairs) {
    if (!regex_.full_match(name, groups)) continue;
    const std::string target = regex_.expand(config_.replacement, groups);
    if (!target.empty()) labels.set(target, value);
  }
}

bool apply_relabel_rules(std::span<const RelabelRule> rules, tsdb::LabelsBuilder& labels) {
  return std::all_of(rules.begin(), rules.end(),
                     [&](const RelabelRule& rule) { return rule.apply(labels); });
}

}  // namespace tarsier::ingest
