#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"
#include "base/result.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// Which metric and label names are accepted (`metric_name_validation_scheme`).
enum class NameValidation : unsigned char {
  kUtf8,    ///< Any non-empty valid UTF-8.
  kLegacy,  ///< The classic ASCII character sets.
};
bool is_valid_label_name(std::string_view name, NameValidation validation);
bool is_valid_metric_name(std::string_view name, NameValidation validation);

enum class RelabelAction : unsigned char {
  kReplace,
  kKeep,
  kDrop,
  kKeepEqual,
  kDropEqual,
  kHashMod,
  kLabelMap,
  kLabelDrop,
  kLabelKeep,
  kLowercase,
  kUppercase,
};
/// "replace", "keepequal", ...
std::string_view relabel_action_name(RelabelAction action);

/// One relabelling rule as it stands in the configuration file; what is absent there keeps its
/// default here. An explicit empty `replacement` is empty, not the default.
struct RelabelConfig {
  std::vector<std::string> source_labels;
  std::string separator = ";";
  std::string regex = "(.*)";
  std::uint64_t modulus = 0;
  std::string target_label;
  std::string replacement = "$1";
  std::string action = "replace";  ///< Compared without case.
  bool operator==(const RelabelConfig&) const = default;
};

/// One checked and compiled relabelling rule: rewrites a label set or drops it, with the meaning
/// Prometheus gives each action. Immutable, cheap to copy; any number of threads.
class RelabelRule final {
 public:
  /// kInvalid with the text Prometheus' users know ("unknown relabel action ...").
  static Result<RelabelRule> create(RelabelConfig config, NameValidation validation);

  /// Applies the rule to `labels`. False: the target or sample is to be dropped; `labels` is then
  /// as before this rule.
  bool apply(tsdb::LabelsBuilder& labels) const;

  const RelabelConfig& config() const { return config_; }
  RelabelAction action() const { return action_; }
  /// Two rules are equal when they were written equal.
  bool operator==(const RelabelRule& other) const {
    return config_ == other.config_ && validation_ == other.validation_;
  }

 private:
  RelabelRule(RelabelConfig config, RelabelAction action, Regex regex, NameValidation validation);
  void replace(tsdb::LabelsBuilder& labels, std::string_view joined) const;
  void map_names(tsdb::LabelsBuilder& labels) const;

  RelabelConfig config_;
  RelabelAction action_;
  NameValidation validation_;
  bool is_constant_;  // Default regex, and no `$` in target or replacement.
  Regex regex_;
};

/// Applies `rules` in order; false as soon as one drops.
bool apply_relabel_rules(std::span<const RelabelRule> rules, tsdb::LabelsBuilder& labels);

}  // namespace tarsier::ingest
