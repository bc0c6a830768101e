#include "server/slo_own_form.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "alerting/sli_terms.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

using alerting::SliMeasure;
using alerting::SliTerm;
using Kind = alerting::SliDefinition::Kind;

std::string line(std::string_view name, const std::string& text) {
  return fmt::format("    {}: {}\n", name, yaml_scalar(text));
}

/// The selectors that count what sums of rates count: `errors` or `good` beside `total`, or
/// `gauge`.
std::optional<std::string> selectors_of(const alerting::Slo& slo) {
  const SliTerm* total = nullptr;
  const SliTerm* part = nullptr;
  for (const SliTerm& term : slo.terms()) {
    const bool is_total = term.total_weight == 1 && (term.bad_weight == 0 || term.bad_weight == 1);
    if (is_total && total == nullptr) {
      total = &term;
    } else if (!is_total && term.total_weight == 0 && part == nullptr) {
      part = &term;
    } else if (total != nullptr && term.total_weight == 0 && term.matchers == total->matchers &&
               term.measure == total->measure && term.bad_weight == 1 && part != nullptr) {
      // The total once more, as in `total - good`.
      continue;
    } else {
      return std::nullopt;
    }
  }
  if (total == nullptr || part == nullptr) return std::nullopt;
  const std::string all = alerting::selector_text(total->matchers);
  const std::string some = alerting::selector_text(part->matchers);
  if (total->measure == SliMeasure::kSampleCount && part->measure == SliMeasure::kSampleSum &&
      total->matchers == part->matchers && part->bad_weight == -1) {
    return line("gauge", all);
  }
  if (total->measure != SliMeasure::kCounter || part->measure != SliMeasure::kCounter) {
    return std::nullopt;
  }
  if (part->bad_weight == 1 && total->bad_weight == 0) {
    return line("errors", some) + line("total", all);
  }
  if (part->bad_weight == -1 && total->bad_weight == 1) {
    return line("good", some) + line("total", all);
  }
  return std::nullopt;
}

Result<std::string> indicator_of(const alerting::Slo& slo, std::vector<std::string>& notes) {
  const alerting::SliDefinition& sli = slo.definition().sli;
  switch (sli.kind) {
    case Kind::kErrors: return line("errors", sli.errors) + line("total", sli.total);
    case Kind::kGood:
    case Kind::kBuckets: return line("good", sli.good) + line("total", sli.total);
    case Kind::kLatency:
      return fmt::format(
          "    latency: {{histogram: {}, below: {}{}}}\n", yaml_scalar(sli.histogram),
          format_duration({static_cast<std::int64_t>(std::llround(sli.bound * 1000))}),
          sli.is_native ? ", native: true" : "");
    case Kind::kGauge: return line("gauge", sli.gauge);
    case Kind::kRatio: return line("ratio", sli.ratio);
    case Kind::kQueries: break;
    case Kind::kComparison:
      return invalid(
          "samples compared with a number have no words in our form; name the file in slo_files as "
          "it is");
  }
  if (const std::optional<std::string> selectors = selectors_of(slo)) return *selectors;
  notes.push_back(
      "its queries are no plain sums of rates: they are kept as a ratio, which PromQL computes "
      "(definition: promql) without counts of events, so that guards for low traffic have no "
      "effect");
  return line("ratio", sli.errors.empty() ? fmt::format("1 - (({}) / ({}))", sli.good, sli.total)
                                          : fmt::format("({}) / ({})", sli.errors, sli.total));
}

std::string map_lines(std::string_view indent, std::string_view name,
                      const alerting::LabelMap& map) {
  if (map.empty()) return "";
  std::string out = fmt::format("{}{}:\n", indent, name);
  for (const auto& [key, value] : map) {
    out += fmt::format("{}  {}: {}\n", indent, yaml_scalar(key), yaml_scalar(value));
  }
  return out;
}

std::string severity_lines(std::string_view name, const alerting::SloSeverityAlerts& alerts,
                           const alerting::LabelMap& labels) {
  if (!alerts.is_on) return fmt::format("    {}: off\n", name);
  const alerting::BurnGuards& guards = alerts.guards;
  std::string inside = map_lines("      ", "labels", labels);
  inside += map_lines("      ", "annotations", alerts.annotations);
  if (guards.min_bad_events > 0) {
    inside += fmt::format("      min_bad_events: {}\n", guards.min_bad_events);
  }
  if (guards.min_events > 0) inside += fmt::format("      min_events: {}\n", guards.min_events);
  if (guards.needs_confidence) inside += "      confidence: true\n";
  if (guards.weighs_traffic) inside += "      weigh_traffic: true\n";
  return inside.empty() ? "" : fmt::format("    {}:\n", name) + inside;
}

/// What the format's alerts are labelled with besides what its file says.
alerting::LabelMap with_severity(alerting::LabelMap labels, const alerting::SloDefinition& slo,
                                 alerting::Severity severity) {
  const bool is_page = severity == alerting::Severity::kPage;
  const bool has_own = std::any_of(labels.begin(), labels.end(),
                                   [](const auto& label) { return label.first == "severity"; });
  if (slo.format == alerting::SloFormat::kSloth) {
    labels.emplace_back("sloth_severity", severity_name(severity));
  } else if (slo.format == alerting::SloFormat::kPyrra && !has_own) {
    const std::vector<std::string>& names = slo.alerts.tier_severities;
    const std::string_view usual = is_page ? "critical" : "warning";
    const std::size_t i = is_page ? 0 : 2;
    labels.emplace_back("severity", i < names.size() && !names[i].empty() ? names[i] : usual);
  }
  std::sort(labels.begin(), labels.end());
  return labels;
}

std::string alert_lines(const alerting::Slo& slo) {
  const alerting::SloDefinition& definition = slo.definition();
  const alerting::SloAlerting& alerts = definition.alerts;
  std::string out = "  alerts:\n";
  std::string name = alerts.name;
  if (name.empty() && definition.format == alerting::SloFormat::kPyrra) name = "ErrorBudgetBurn";
  if (!name.empty()) out += line("name", name);
  std::string absent = alerts.no_data_name;
  if (absent.empty() && definition.format == alerting::SloFormat::kPyrra) {
    absent = "SLOMetricAbsent";
  }
  if (!alerts.alerts_on_no_data) {
    out += "    no_data: off\n";
  } else if (!absent.empty() || alerts.no_data_wait) {
    std::string inside;
    if (!absent.empty()) inside += "name: " + yaml_scalar(absent);
    if (alerts.no_data_wait) {
      inside += fmt::format("{}for: {}", inside.empty() ? "" : ", ",
                            format_duration(*alerts.no_data_wait));
    }
    out += fmt::format("    no_data: {{{}}}\n", inside);
  }
  if (alerts.hold_without_data) {
    out += fmt::format("    hold_without_data: {}\n", format_duration(*alerts.hold_without_data));
  }
  if (alerts.fires_uncovered) out += "    fire_uncovered: true\n";
  out += severity_lines("page", alerts.page,
                        with_severity(alerts.page.labels, definition, alerting::Severity::kPage));
  out +=
      severity_lines("ticket", alerts.ticket,
                     with_severity(alerts.ticket.labels, definition, alerting::Severity::kTicket));
  if (slo.tiers().empty()) return out;
  out += "    tiers:\n";
  for (const alerting::BurnTier& tier : slo.tiers()) {
    out += fmt::format("    - {{severity: {}, long: {}, short: {}, factor: {}{}}}\n",
                       severity_name(tier.severity), format_duration(tier.long_window),
                       format_duration(tier.short_window), plain_number(tier.factor),
                       tier.hold.ms > 0 ? ", for: " + format_duration(tier.hold) : "");
  }
  return out;
}

void note_names(const alerting::Slo& slo, std::vector<std::string>& notes) {
  if (slo.definition().format == alerting::SloFormat::kSloth) {
    notes.push_back(
        "Sloth's series (slo:sli_error:ratio_rate5m ...) and its labels sloth_id, sloth_service "
        "and "
        "sloth_slo are only written for Sloth's own file; here there are tarsier_slo_* with slo "
        "and "
        "service");
  } else if (slo.definition().format == alerting::SloFormat::kPyrra) {
    notes.push_back(
        "Pyrra's series (...:burnrate5m, pyrra_*) are only written for Pyrra's own file; here "
        "there "
        "are tarsier_slo_*");
  }
  for (const alerting::BurnTier& tier : slo.tiers()) {
    if (tier.comparison == alerting::BurnComparison::kAbove) continue;
    notes.push_back("its tiers compare otherwise than with above; here they fire above the factor");
    return;
  }
}

}  // namespace

Result<std::string> own_form(const alerting::Slo& slo, std::vector<std::string>& notes) {
  const alerting::SloDefinition& definition = slo.definition();
  std::string sli = TRY(indicator_of(slo, notes));
  note_names(slo, notes);
  std::string out = fmt::format("- name: {}\n", yaml_scalar(definition.name));
  const auto add = [&](std::string_view name, const std::string& text) {
    if (!text.empty()) out += fmt::format("  {}: {}\n", name, yaml_scalar(text));
  };
  add("service", definition.service);
  add("description", definition.description);
  out += fmt::format("  objective: {}\n", plain_number(definition.objective_percent));
  const alerting::SloPeriod& period = definition.period;
  if (period.is_calendar()) {
    out += fmt::format("  period: {{calendar: {}{}}}\n", period_text(period),
                       period.zone_name.empty() ? "" : ", time_zone: " + period.zone_name);
  } else {
    out += fmt::format("  period: {}\n", format_duration(period.length));
  }
  out += "  sli:\n" + sli;
  if (!slo.group_by().empty()) {
    out += fmt::format("  group_by: [{}]\n", fmt::join(slo.group_by(), ", "));
  }
  if (definition.counting == alerting::SloCounting::kPromql) out += "  definition: promql\n";
  out += map_lines("  ", "labels", definition.labels);
  out += map_lines("  ", "annotations", definition.annotations);
  return out + alert_lines(slo);
}

}  // namespace tarsier::server
