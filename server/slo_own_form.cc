#include "server/slo_own_form.h"

#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/duration.h"
#include "base/number_text.h"
#include "server/yaml.h"

namespace tarsier::server {

std::string slo_own_form(const alerting::SloDefinition& slo) {
  using Kind = alerting::SliDefinition::Kind;
  std::string sli;
  const auto add = [&](std::string_view name, const std::string& text) {
    sli += fmt::format("    {}: {}\n", name, yaml_scalar(text));
  };
  switch (slo.sli.kind) {
    case Kind::kErrors:
      add("errors", slo.sli.errors);
      add("total", slo.sli.total);
      break;
    case Kind::kGood:
    case Kind::kBuckets:
      add("good", slo.sli.good);
      add("total", slo.sli.total);
      break;
    case Kind::kLatency:
      sli += fmt::format(
          "    latency: {{histogram: {}, below: {}}}\n", yaml_scalar(slo.sli.histogram),
          format_duration({static_cast<std::int64_t>(std::llround(slo.sli.bound * 1000))}));
      break;
    case Kind::kGauge: add("gauge", slo.sli.gauge); break;
    case Kind::kRatio: add("ratio", slo.sli.ratio); break;
    case Kind::kQueries:
      add("ratio", slo.sli.errors.empty()
                       ? fmt::format("1 - (({}) / ({}))", slo.sli.good, slo.sli.total)
                       : fmt::format("({}) / ({})", slo.sli.errors, slo.sli.total));
      break;
    case Kind::kComparison: return "";
  }
  std::string out = fmt::format("- name: {}\n", yaml_scalar(slo.name));
  if (!slo.service.empty()) out += fmt::format("  service: {}\n", yaml_scalar(slo.service));
  if (!slo.description.empty()) {
    out += fmt::format("  description: {}\n", yaml_scalar(slo.description));
  }
  out += fmt::format("  objective: {}\n", plain_number(slo.objective_percent));
  if (slo.period.is_calendar()) {
    out += fmt::format("  period: {{calendar: {}{}}}\n", alerting::period_text(slo.period),
                       slo.period.zone_name.empty() ? "" : ", time_zone: " + slo.period.zone_name);
  } else {
    out += fmt::format("  period: {}\n", format_duration(slo.period.length));
  }
  out += "  sli:\n" + sli;
  if (!slo.group_by.empty())
    out += fmt::format("  group_by: [{}]\n", fmt::join(slo.group_by, ", "));
  if (!slo.labels.empty()) {
    out += "  labels:\n";
    for (const auto& [name, value] : slo.labels) {
      out += fmt::format("    {}: {}\n", yaml_scalar(name), yaml_scalar(value));
    }
  }
  out += "  alerts:\n";
  if (!slo.alerts.name.empty()) out += fmt::format("    name: {}\n", yaml_scalar(slo.alerts.name));
  out += fmt::format("    no_data: {}\n", slo.alerts.alerts_on_no_data);
  for (const auto& [name, side] :
       {std::pair("page", &slo.alerts.page), std::pair("ticket", &slo.alerts.ticket)}) {
    if (!side->is_on) {
      out += fmt::format("    {}: off\n", name);
      continue;
    }
    if (side->labels.empty() && side->annotations.empty()) continue;
    out += fmt::format("    {}:\n", name);
    for (const auto& [kind, map] :
         {std::pair("labels", &side->labels), std::pair("annotations", &side->annotations)}) {
      if (map->empty()) continue;
      out += fmt::format("      {}:\n", kind);
      for (const auto& [key, value] : *map) {
        out += fmt::format("        {}: {}\n", yaml_scalar(key), yaml_scalar(value));
      }
    }
  }
  return out;
}

}  // namespace tarsier::server
