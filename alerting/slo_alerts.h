#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/alert_table.h"
#include "alerting/burn_rate.h"
#include "alerting/slo.h"
#include "alerting/template_text.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

/// What the alerts of one objective look like: labels in its format's names, annotations with the
/// numbers that explain them. Immutable; any number of threads.
class SloAlertTexts final {
 public:
  explicit SloAlertTexts(const Slo& slo);

  /// The identity of the alert that tiers of a group make.
  tsdb::Labels labels(const Slo& slo, const AlertUnit& unit, const tsdb::Labels& group) const;
  tsdb::Labels no_data_labels(const Slo& slo, const tsdb::Labels& group) const;

  /// An alert whose verdict is active.
  ActiveAlert burning(const Slo& slo, const AlertUnit& unit, const tsdb::Labels& labels,
                      const BurnReading& reading, std::span<const TierValue> tiers,
                      const Verdict& verdict, const TemplateContext& context) const;
  ActiveAlert no_data(const Slo& slo, const tsdb::Labels& labels, const BurnReading& reading,
                      const TemplateContext& context) const;

 private:
  struct Annotation {
    std::string name;
    std::string literal;  ///< Where the text is no template.
    std::optional<TemplateText> text;
  };
  using Texts = std::vector<Annotation>;
  static Texts texts_of(const Slo& slo, Severity severity);
  static void expand(const Texts& texts, const tsdb::Labels& labels, double value,
                     const TemplateContext& context, Annotations& out);

  Texts page_;
  Texts ticket_;
};

/// `alertname` of the alert about missing samples.
std::string_view no_data_alert_name(const Slo& slo);

/// Labels that say whose an alert or a series is: the objective's own, its group's, its name and
/// service in the words of its format.
tsdb::LabelsBuilder slo_identity_labels(const Slo& slo, const tsdb::Labels& group);

}  // namespace tarsier::alerting
