#include "alerting/slo_alerts.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/number_text.h"

namespace tarsier::alerting {
namespace {

std::string alert_name(const Slo& slo) {
  const std::string& name = slo.definition().alerts.name;
  if (!name.empty()) return name;
  return slo.definition().format == SloFormat::kPyrra ? "ErrorBudgetBurn" : "SLOErrorBudgetBurn";
}

const SloSeverityAlerts& alerts_of(const Slo& slo, Severity severity) {
  const SloAlerting& alerts = slo.definition().alerts;
  return severity == Severity::kPage ? alerts.page : alerts.ticket;
}

/// A tier's labels as Pyrra has them: its windows, and how long the whole budget lasts at its rate.
void set_tier(const Slo& slo, const AlertUnit& unit, tsdb::LabelsBuilder& labels) {
  const BurnTier& tier = slo.tiers()[unit.begin];
  const std::vector<std::string>& names = slo.definition().alerts.tier_severities;
  labels.set("severity", unit.begin < names.size() && !names[unit.begin].empty()
                             ? std::string_view(names[unit.begin])
                         : unit.severity == Severity::kPage ? "critical"
                                                            : "warning");
  labels.set("short", format_duration(tier.short_window));
  labels.set("long", format_duration(tier.long_window));
  const double period_s = static_cast<double>(nominal_period(slo.definition().period).ms) / 1000;
  labels.set("exhaustion",
             format_duration(seconds(static_cast<std::int64_t>(period_s / tier.factor))));
}

void set_severity(const Slo& slo, const AlertUnit& unit, tsdb::LabelsBuilder& labels) {
  switch (slo.definition().format) {
    case SloFormat::kSloth: labels.set("sloth_severity", severity_name(unit.severity)); break;
    case SloFormat::kPyrra: set_tier(slo, unit, labels); break;
    case SloFormat::kOwn:
    case SloFormat::kOpenSlo: labels.set("severity", severity_name(unit.severity)); break;
  }
}

std::string number(double v) {
  return std::isfinite(v) ? fmt::format("{:.4g}", v) : short_number(v);
}

}  // namespace

std::string_view no_data_alert_name(const Slo& slo) {
  const std::string& name = slo.definition().alerts.no_data_name;
  if (!name.empty()) return name;
  return slo.definition().format == SloFormat::kPyrra ? "SLOMetricAbsent" : "SLONoData";
}

tsdb::LabelsBuilder slo_identity_labels(const Slo& slo, const tsdb::Labels& group) {
  tsdb::LabelsBuilder out;
  const SloDefinition& definition = slo.definition();
  for (const auto& [name, value] : definition.labels) out.set(name, value);
  for (const auto& [name, value] : slo.pinned_labels()) out.set(name, value);
  for (const tsdb::LabelView& label : group) out.set(label.name, label.value);
  if (definition.format == SloFormat::kSloth) {
    out.set("sloth_id", slo.id());
    out.set("sloth_slo", definition.name);
    out.set("sloth_service", definition.service);
    return out;
  }
  out.set("slo", definition.format == SloFormat::kPyrra ? definition.name : slo.id());
  if (!definition.service.empty() && !group.has("service")) out.set("service", definition.service);
  return out;
}

SloAlertTexts::SloAlertTexts(const Slo& slo)
    : page_(texts_of(slo, Severity::kPage)), ticket_(texts_of(slo, Severity::kTicket)) {}

SloAlertTexts::Texts SloAlertTexts::texts_of(const Slo& slo, Severity severity) {
  std::map<std::string, std::string> all;
  if (slo.definition().format == SloFormat::kSloth) {
    all["title"] = fmt::format(
        "({}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} SLO "
        "error budget burn rate is too fast.",
        severity_name(severity));
    all["summary"] =
        "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is "
        "over expected.";
  }
  for (const auto& [name, text] : slo.definition().annotations) all[name] = text;
  for (const auto& [name, text] : alerts_of(slo, severity).annotations) all[name] = text;
  Texts out;
  for (const auto& [name, text] : all) {
    Annotation one{.name = name, .literal = text, .text = std::nullopt};
    Result<TemplateText> parsed = TemplateText::parse("__alert_" + alert_name(slo), text);
    if (parsed.ok() && !parsed->is_literal()) one.text = std::move(*parsed);
    out.push_back(std::move(one));
  }
  return out;
}

void SloAlertTexts::expand(const Texts& texts, const tsdb::Labels& labels, double value,
                           const TemplateContext& context, Annotations& out) {
  for (const Annotation& one : texts) {
    bool failed = false;
    std::string text =
        one.text ? one.text->expand_or_error({.labels = labels, .value = value}, context, failed)
                 : one.literal;
    const auto at = std::find_if(out.begin(), out.end(),
                                 [&](const auto& entry) { return entry.first == one.name; });
    if (at == out.end()) {
      out.emplace_back(one.name, std::move(text));
    } else {
      at->second = std::move(text);
    }
  }
  std::sort(out.begin(), out.end());
}

tsdb::Labels SloAlertTexts::labels(const Slo& slo, const AlertUnit& unit,
                                   const tsdb::Labels& group) const {
  tsdb::LabelsBuilder out = slo_identity_labels(slo, group);
  out.set("alertname", alert_name(slo));
  set_severity(slo, unit, out);
  for (const auto& [name, value] : alerts_of(slo, unit.severity).labels) out.set(name, value);
  return out.build();
}

tsdb::Labels SloAlertTexts::no_data_labels(const Slo& slo, const tsdb::Labels& group) const {
  tsdb::LabelsBuilder out = slo_identity_labels(slo, group);
  out.set("alertname", no_data_alert_name(slo));
  if (slo.definition().format == SloFormat::kPyrra) {
    const std::string& severity = slo.definition().alerts.no_data_severity;
    out.set("severity", severity.empty() ? std::string_view("critical") : severity);
  } else {
    set_severity(slo, {.severity = Severity::kTicket}, out);
  }
  return out.build();
}

ActiveAlert SloAlertTexts::burning(const Slo& slo, const AlertUnit& unit,
                                   const tsdb::Labels& labels, const BurnReading& reading,
                                   std::span<const TierValue> tiers, const Verdict& verdict,
                                   const TemplateContext& context) const {
  const BurnTier& tier = slo.tiers()[verdict.tier];
  const TierValue& value = tiers[verdict.tier];
  const double burn = value.long_ratio / slo.budget();
  ActiveAlert out{.labels = labels, .annotations = {}, .value = burn};
  const double remaining = budget_remaining(slo, reading.period);
  const std::optional<Duration> left =
      time_to_exhaustion(burn, remaining, nominal_period(slo.definition().period));
  Annotations& notes = out.annotations;
  notes.emplace_back("summary", fmt::format("{} burns its error budget {} times too fast", slo.id(),
                                            number(burn)));
  notes.emplace_back("cause", cause_text(slo, unit, reading, tiers, verdict));
  notes.emplace_back("tier", fmt::format("{}/{}", format_duration(tier.long_window),
                                         format_duration(tier.short_window)));
  notes.emplace_back("burn_rate_long", number(burn));
  notes.emplace_back("burn_rate_short", number(value.short_ratio / slo.budget()));
  notes.emplace_back("burn_rate_threshold", number(tier.factor));
  notes.emplace_back("budget_remaining", number(remaining));
  notes.emplace_back("time_to_exhaustion", left ? format_duration(*left) : "never");
  if (reading.has_counts) {
    const auto at = std::lower_bound(slo.windows().begin(), slo.windows().end(), tier.long_window);
    const WindowValue& window =
        reading.windows[static_cast<std::size_t>(at - slo.windows().begin())];
    notes.emplace_back("bad_events", number(window.events.bad));
    notes.emplace_back("total_events", number(window.events.total));
  }
  expand(unit.severity == Severity::kPage ? page_ : ticket_, labels, burn, context, notes);
  return out;
}

ActiveAlert SloAlertTexts::no_data(const Slo& slo, const tsdb::Labels& labels,
                                   const BurnReading& reading,
                                   const TemplateContext& context) const {
  const Timestamp silent_since =
      reading.last_sample.value_or(reading.watched_since.value_or(reading.t));
  const Duration since = reading.t - silent_since;
  ActiveAlert out{
      .labels = labels, .annotations = {}, .value = static_cast<double>(since.ms) / 1000};
  const std::string text =
      reading.last_sample
          ? fmt::format("no samples of {} for {}: whether it meets its objective is unknown",
                        slo.id(), format_duration({since.ms / 1000 * 1000}))
          : fmt::format(
                "{} has no sample in the last {}: whether {} meets its objective is unknown",
                slo.measured_text(), period_text(slo.definition().period), slo.id());
  out.annotations.emplace_back("cause", text);
  out.annotations.emplace_back("summary", text);
  Texts own;
  for (const auto& [name, annotation] : slo.definition().annotations) {
    own.push_back({.name = name, .literal = annotation, .text = std::nullopt});
  }
  expand(own, labels, out.value, context, out.annotations);
  return out;
}

}  // namespace tarsier::alerting
