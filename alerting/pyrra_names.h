#pragma once

#include <optional>
#include <string>

#include "alerting/rule.h"
#include "alerting/slo.h"

namespace tarsier::alerting {

/// What Pyrra calls the series of an objective, and how it tells them apart. A value of strings,
/// computed once for an objective.
struct PyrraNames {
  explicit PyrraNames(const Slo& slo);

  /// The selector of all events, and of those its file calls errors or success; of native
  /// histograms and gauges the second is empty.
  std::string all;
  std::string part;
  bool part_is_bad = false;  ///< Errors, not success.
  /// Metrics without `_total`, `_count` and `_bucket`: what names begin with.
  std::string all_base;
  std::string part_base;
  /// Labels by which the increase of `part` differs from that of `all`: Pyrra groups by them. Their
  /// values here are the matchers' own texts, which is what the same matchers find.
  LabelMap part_labels;
  /// Whether `part` has a series of its own: by its name or by its labels.
  bool is_apart = false;
  /// Whether both have one name and the events of both are all: of ratios, whose total is the sum.
  bool adds_up = false;
  /// Names of labels that matchers of `part` have and matchers of `all` have not.
  std::vector<std::string> part_names;
};

}  // namespace tarsier::alerting
