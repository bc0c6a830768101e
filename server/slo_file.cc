#include "server/slo_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/quote.h"
#include "server/glob.h"
#include "server/slo_document.h"

namespace tarsier::server {
namespace {

using alerting::BurnTier;
using alerting::CalendarUnit;
using alerting::Severity;
using alerting::SliDefinition;
using alerting::SloDefinition;
using alerting::SloSeverityAlerts;

/// Reads one objective of our own form.
class OwnReader final {
 public:
  OwnReader(const YamlNode& node, std::string path, SloDocuments& out)
      : node_(node), path_(std::move(path)), out_(out), map_(node, path_, out.problems()) {}

  void run() {
    SloDefinition slo = out_.begin(alerting::SloFormat::kOwn);
    map_.read("name", slo.name);
    map_.read("service", slo.service);
    map_.read("description", slo.description);
    read_number(map_, "objective", slo.objective_percent);
    read_period(slo);
    read_sli(slo.sli);
    map_.read("group_by", slo.group_by);
    std::string counting = "events";
    map_.read("definition", counting);
    if (counting == "promql") {
      slo.counting = alerting::SloCounting::kPromql;
    } else if (counting != "events") {
      out_.error(*map_.find("definition"),
                 fmt::format("a definition is events or promql, not {}", quote(counting)));
    }
    slo.labels = read_label_map(map_, "labels");
    slo.annotations = read_label_map(map_, "annotations");
    if (const YamlNode* alerts = map_.find("alerts")) read_alerts(*alerts, slo);
    for (const char* field : {"name", "service", "objective", "period", "group_by", "labels"}) {
      if (const YamlNode* at = map_.find(field)) places_[field] = at;
    }
    map_.finish();
    out_.add(node_, std::move(slo), places_);
  }

 private:
  std::string path_of(std::string_view field) const { return fmt::format("{}.{}", path_, field); }

  void read_period(SloDefinition& slo) {
    const YamlNode* node = map_.find("period");
    if (node == nullptr) return;
    if (node->kind == YamlNode::Kind::kScalar) return map_.read("period", slo.period.length);
    MapReader map(*node, path_of("period"), out_.problems());
    std::string unit;
    map.read("calendar", unit);
    static const std::map<std::string_view, CalendarUnit> kUnits = {
        {"week", CalendarUnit::kWeek},
        {"month", CalendarUnit::kMonth},
        {"quarter", CalendarUnit::kQuarter},
        {"year", CalendarUnit::kYear}};
    const auto found = kUnits.find(unit);
    if (found == kUnits.end()) {
      out_.error(*node,
                 fmt::format("calendar is week, month, quarter or year, not {}", quote(unit)));
    } else {
      slo.period.unit = found->second;
    }
    map.read("time_zone", slo.period.zone_name);
    if (!slo.period.zone_name.empty()) {
      Result<alerting::TimeZone> zone =
          alerting::TimeZone::load(out_.files(), slo.period.zone_name);
      if (zone.ok()) {
        slo.period.zone = std::move(*zone);
      } else {
        out_.error(*map.find("time_zone"), zone.status().message());
      }
    }
    map.finish();
  }

  void read_sli(SliDefinition& sli) {
    const YamlNode* node = map_.find("sli");
    if (node == nullptr) return out_.error(node_, "an objective needs an sli");
    places_["sli"] = node;
    MapReader map(*node, path_of("sli"), out_.problems());
    int count = 0;
    const auto take = [&](const char* field, SliDefinition::Kind kind, std::string& text) {
      if (!map.has(field)) return;
      ++count;
      sli.kind = kind;
      map.read(field, text);
      places_[fmt::format("sli.{}", field)] = map.find(field);
    };
    take("errors", SliDefinition::Kind::kErrors, sli.errors);
    take("good", SliDefinition::Kind::kGood, sli.good);
    take("gauge", SliDefinition::Kind::kGauge, sli.gauge);
    take("ratio", SliDefinition::Kind::kRatio, sli.ratio);
    map.read("total", sli.total);
    if (const YamlNode* total = map.find("total")) places_["sli.total"] = total;
    if (const YamlNode* latency = map.find("latency")) {
      ++count;
      sli.kind = SliDefinition::Kind::kLatency;
      MapReader inner(*latency, path_of("sli.latency"), out_.problems());
      inner.read("histogram", sli.histogram);
      Duration below{0};
      inner.read("below", below);
      sli.bound = static_cast<double>(below.ms) / 1000;
      inner.read("native", sli.is_native);
      places_["sli.latency.histogram"] = latency;
      places_["sli.latency.below"] = inner.has("below") ? inner.find("below") : latency;
      inner.finish();
    }
    const bool needs_total =
        sli.kind == SliDefinition::Kind::kErrors || sli.kind == SliDefinition::Kind::kGood;
    if (count != 1) {
      out_.error(*node, "an sli is exactly one of errors, good, latency, gauge and ratio");
    } else if (needs_total != map.has("total")) {
      out_.error(*node, needs_total ? "errors and good go with total"
                                    : "total goes with errors or good only");
    }
    map.finish();
  }

  void read_severity(MapReader& alerts, const char* name, SloSeverityAlerts& into) {
    const YamlNode* node = alerts.find(name);
    if (node == nullptr) return;
    if (node->kind == YamlNode::Kind::kScalar) return alerts.read(name, into.is_on);
    MapReader map(*node, fmt::format("{}.alerts.{}", path_, name), out_.problems());
    into.labels = read_label_map(map, "labels");
    into.annotations = read_label_map(map, "annotations");
    map.read("min_bad_events", into.guards.min_bad_events);
    map.read("min_events", into.guards.min_events);
    map.read("confidence", into.guards.needs_confidence);
    map.read("weigh_traffic", into.guards.weighs_traffic);
    map.finish();
  }

  void read_alerts(const YamlNode& node, SloDefinition& slo) {
    if (node.kind == YamlNode::Kind::kScalar) {
      bool is_on = true;
      map_.read("alerts", is_on);
      slo.alerts.page.is_on = slo.alerts.ticket.is_on = slo.alerts.alerts_on_no_data = is_on;
      return;
    }
    MapReader map(node, path_of("alerts"), out_.problems());
    map.read("name", slo.alerts.name);
    read_severity(map, "page", slo.alerts.page);
    read_severity(map, "ticket", slo.alerts.ticket);
    if (const YamlNode* no_data = map.find("no_data")) {
      if (no_data->kind == YamlNode::Kind::kScalar) {
        map.read("no_data", slo.alerts.alerts_on_no_data);
      } else {
        MapReader inner(*no_data, path_of("alerts.no_data"), out_.problems());
        inner.read("name", slo.alerts.no_data_name);
        if (inner.has("for")) inner.read("for", slo.alerts.no_data_wait.emplace());
        inner.finish();
      }
    }
    if (map.has("hold_without_data")) {
      map.read("hold_without_data", slo.alerts.hold_without_data.emplace());
    }
    map.read("fire_uncovered", slo.alerts.fires_uncovered);
    if (const YamlNode* tiers = map.find_list("tiers")) {
      places_["alerts.tiers"] = tiers;
      for (const YamlNode& tier : tiers->items) read_tier(tier, slo);
    }
    map.finish();
  }

  void read_tier(const YamlNode& node, SloDefinition& slo) {
    MapReader map(node, path_of("alerts.tiers"), out_.problems());
    BurnTier tier;
    std::string severity;
    map.read("severity", severity);
    if (severity == "ticket") {
      tier.severity = Severity::kTicket;
    } else if (severity != "page") {
      out_.error(node, fmt::format("a severity is page or ticket, not {}", quote(severity)));
    }
    map.read("long", tier.long_window);
    map.read("short", tier.short_window);
    map.read("for", tier.hold);
    double share = 0;
    const bool has_factor = read_number(map, "factor", tier.factor);
    if (read_number(map, "budget_percent", share)) {
      if (has_factor) out_.error(node, "a tier has a factor or a budget_percent, not both");
      if (tier.long_window.ms > 0) {
        tier.factor = alerting::burn_factor(share, nominal_period(slo.period), tier.long_window);
      }
    }
    map.finish();
    slo.alerts.tiers.push_back(tier);
  }

  const YamlNode& node_;
  const std::string path_;
  SloDocuments& out_;
  MapReader map_;
  SloDocuments::Places places_;
};

bool is_empty(const YamlNode& node) { return node.kind == YamlNode::Kind::kNull; }

}  // namespace

void SloDocuments::error(const YamlNode& at, std::string_view text) {
  errors_.push_back(fmt::format("{}: {}:{}: {}", path_, at.line, at.column, text));
}

SloDefinition SloDocuments::begin(alerting::SloFormat format) const {
  SloDefinition slo;
  slo.file = path_;
  slo.format = format;
  return slo;
}

void SloDocuments::add(const YamlNode& node, SloDefinition slo, const Places& places) {
  for (const alerting::SloProblem& problem : alerting::Slo::check(slo)) {
    std::string_view field = problem.field;
    auto at = places.find(field);
    while (at == places.end() && !field.empty()) {
      const std::size_t dot = field.rfind('.');
      field = dot == std::string_view::npos ? std::string_view() : field.substr(0, dot);
      at = places.find(field);
    }
    error(at == places.end() ? node : *at->second,
          fmt::format("slo {}: {}", quote(slo.name), problem.text));
  }
  contents_.slos.push_back(std::move(slo));
}

Status SloDocuments::status() const {
  if (!problems_.empty()) return invalid(fmt::format("{}: {}", path_, problems_.to_string()));
  if (!errors_.empty()) return invalid(fmt::format("{}", fmt::join(errors_, "\n")));
  return {};
}

bool read_number(MapReader& map, std::string_view name, double& out) {
  const YamlNode* node = map.find(name);
  if (node == nullptr) return false;
  std::string text;
  map.read(name, text);
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || !std::isfinite(number)) {
    map.problems().add(*node, fmt::format("cannot unmarshal !!str `{}` into {}, a number", text,
                                          map.path_of(name)));
    return false;
  }
  out = number;
  return true;
}

alerting::LabelMap read_label_map(MapReader& map, std::string_view name) {
  alerting::LabelMap out;
  const YamlNode* node = map.find(name);
  if (node == nullptr) return out;
  const std::string path = map.path_of(name);
  MapReader reader(*node, path, map.problems());
  for (const auto& [key, value] : node->entries) {
    reader.find(key.text);
    const bool is_null = value.kind == YamlNode::Kind::kNull;
    out.emplace_back(
        key.text,
        is_null ? "" : read_text(value, fmt::format("{}.{}", path, key.text), map.problems()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

void merge_labels(alerting::LabelMap& into, const alerting::LabelMap& more) {
  std::map<std::string, std::string> all(into.begin(), into.end());
  for (const auto& [name, value] : more) all[name] = value;
  into.assign(all.begin(), all.end());
}

const YamlNode* node_at(const YamlNode& node, std::string_view name) {
  for (const auto& [key, value] : node.entries) {
    if (key.text == name) return &value;
  }
  return nullptr;
}

std::string text_at(const YamlNode& node, std::string_view name) {
  const YamlNode* const found = node_at(node, name);
  return found == nullptr ? "" : found->text;
}

void read_own_slos(const YamlNode& root, SloDocuments& out) {
  MapReader map(root, "", out.problems());
  if (const YamlNode* list = map.find_list("slos")) {
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      OwnReader(list->items[i], fmt::format("slos[{}]", i), out).run();
    }
  }
  map.finish();
}

Result<SloFileContents> parse_slo_file(std::string_view text, const std::string& path,
                                       FileSystem& files) {
  const Result<std::vector<YamlNode>> documents = parse_yaml_documents(text);
  if (!documents.ok()) return std::move(documents).status().with_prefix(path + ": yaml");
  SloDocuments out(path, files);
  std::vector<const YamlNode*> openslo;
  for (const YamlNode& document : *documents) {
    if (is_empty(document)) continue;
    const std::string api = text_at(document, "apiVersion");
    const std::string version = text_at(document, "version");
    if (version == "prometheus/v1" || api == "sloth.slok.dev/v1") {
      read_sloth(document, out);
    } else if (api == "pyrra.dev/v1alpha1") {
      read_pyrra(document, out);
    } else if (api == "openslo/v1") {
      openslo.push_back(&document);
    } else if (!version.empty() || !api.empty()) {
      out.error(document, fmt::format("objectives of {} cannot be read; there are prometheus/v1, "
                                      "sloth.slok.dev/v1, pyrra.dev/v1alpha1 and openslo/v1",
                                      quote(version.empty() ? api : version)));
    } else if (node_at(document, "slos") != nullptr) {
      read_own_slos(document, out);
    } else {
      out.error(document,
                "a file of objectives has slos, or says with version or apiVersion whose "
                "it is");
    }
  }
  if (!openslo.empty()) read_openslo(openslo, out);
  TRY(out.status());
  return std::move(out.contents());
}

Result<std::vector<std::shared_ptr<const alerting::Slo>>> compile_slos(SloFileContents contents) {
  std::vector<std::shared_ptr<const alerting::Slo>> out;
  for (SloDefinition& slo : contents.slos) {
    const auto windows = contents.windows.find(slo.period.length);
    if (slo.format == alerting::SloFormat::kSloth && windows != contents.windows.end()) {
      slo.alerts.tiers = windows->second;
    }
    const std::string place = slo.file;
    Result<std::shared_ptr<const alerting::Slo>> compiled = alerting::Slo::compile(std::move(slo));
    if (!compiled.ok()) return std::move(compiled).status().with_prefix(place);
    out.push_back(std::move(*compiled));
  }
  TRY(check_unique(out));
  return out;
}

Result<std::vector<std::shared_ptr<const alerting::Slo>>> read_slo_files(
    FileSystem& files, const std::vector<std::string>& patterns) {
  SloFileContents all;
  std::vector<std::string> errors;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    for (const std::string& path : expand_glob(files, pattern)) {
      if (!files.exists(path) || !seen.insert(path).second) continue;
      const Result<std::string> text = read_file(files, path, kSloFileBytesMax);
      Result<SloFileContents> one =
          text.ok() ? parse_slo_file(*text, path, files) : Result<SloFileContents>(text.status());
      if (!one.ok()) {
        errors.push_back(one.status().message());
        continue;
      }
      std::move(one->slos.begin(), one->slos.end(), std::back_inserter(all.slos));
      all.windows.merge(one->windows);
    }
  }
  if (!errors.empty()) return invalid(fmt::format("{}", fmt::join(errors, "\n")));
  return compile_slos(std::move(all));
}

}  // namespace tarsier::server
