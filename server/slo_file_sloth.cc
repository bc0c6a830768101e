// Sloth's files: `version: prometheus/v1`, and the same as Kubernetes objects in camelCase.

#include <fmt/format.h>

#include "base/quote.h"
#include "server/slo_document.h"

namespace tarsier::server {
namespace {

using alerting::BurnTier;
using alerting::Severity;
using alerting::SliDefinition;
using alerting::SloDefinition;

/// The two spellings of one schema.
struct Names {
  const char* error_query;
  const char* total_query;
  const char* error_ratio_query;
  const char* page_alert;
  const char* ticket_alert;
  const char* plugins;
};
constexpr Names kFile = {"error_query", "total_query",  "error_ratio_query",
                         "page_alert",  "ticket_alert", "slo_plugins"};
constexpr Names kKubernetes = {"errorQuery", "totalQuery",  "errorRatioQuery",
                               "pageAlert",  "ticketAlert", "sloPlugins"};

/// `{{.window}}`, with blanks where Go's templates allow them, as `$window`.
std::string own_placeholder(std::string_view query) {
  std::string out;
  while (true) {
    const std::size_t open = query.find("{{");
    const std::size_t close = query.find("}}", open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    std::string_view inside = query.substr(open + 2, close - open - 2);
    while (inside.starts_with(' ')) inside.remove_prefix(1);
    while (inside.ends_with(' ')) inside.remove_suffix(1);
    out += query.substr(0, open);
    if (inside == ".window") {
      out += "$window";
    } else {
      out += query.substr(open, close + 2 - open);
    }
    query.remove_prefix(close + 2);
  }
  return out.append(query);
}

class Reader final {
 public:
  Reader(const Names& names, SloDocuments& out) : names_(names), out_(out) {}

  /// `map` is what has service, labels and slos.
  void run(MapReader& map) {
    map.read("service", service_);
    labels_ = read_label_map(map, "labels");
    refuse_plugins(map, names_.plugins);
    if (service_.empty()) out_.error(map.node(), "a Sloth file needs a service");
    if (const YamlNode* list = map.find_list("slos")) {
      for (std::size_t i = 0; i < list->items.size(); ++i) {
        read_slo(list->items[i], fmt::format("{}[{}]", map.path_of("slos"), i));
      }
    }
  }

 private:
  void refuse_plugins(MapReader& map, const char* name) {
    if (const YamlNode* node = map.find(name)) {
      out_.error(*node, fmt::format("{} are programs in Go that only Sloth can run; write the "
                                    "queries they make as sli.events or sli.raw",
                                    name));
    }
  }

  void read_query(MapReader& map, const char* name, const char* field, std::string& into) {
    map.read(name, into);
    into = own_placeholder(into);
    if (const YamlNode* node = map.find(name)) {
      places_[field] = node;
    } else {
      out_.error(map.node(), fmt::format("{} needs {}", map.path_of(""), name));
    }
  }

  void read_sli(const YamlNode& node, const std::string& path, SliDefinition& sli) {
    MapReader map(node, path, out_.problems());
    int count = 0;
    if (const YamlNode* events = map.find("events")) {
      ++count;
      sli.kind = SliDefinition::Kind::kQueries;
      MapReader inner(*events, path + ".events", out_.problems());
      read_query(inner, names_.error_query, "sli.errors", sli.errors);
      read_query(inner, names_.total_query, "sli.total", sli.total);
      inner.finish();
    }
    if (const YamlNode* raw = map.find("raw")) {
      ++count;
      sli.kind = SliDefinition::Kind::kRatio;
      MapReader inner(*raw, path + ".raw", out_.problems());
      read_query(inner, names_.error_ratio_query, "sli.ratio", sli.ratio);
      inner.finish();
    }
    if (const YamlNode* plugin = map.find("plugin")) {
      ++count;
      out_.error(*plugin,
                 fmt::format("the SLI plugin {} is a program in Go that only Sloth can run; write "
                             "the queries it makes as events: {{{}: ..., {}: ...}} or raw: {{{}: "
                             "...}}",
                             quote(text_at(*plugin, "id")), names_.error_query, names_.total_query,
                             names_.error_ratio_query));
    }
    if (count != 1) out_.error(node, "an sli is exactly one of events, raw and plugin");
    map.finish();
  }

  void read_severity(MapReader& alerting, const char* name, const alerting::LabelMap& labels,
                     const alerting::LabelMap& annotations, alerting::SloSeverityAlerts& into) {
    into.labels = labels;
    into.annotations = annotations;
    const YamlNode* node = alerting.find(name);
    if (node == nullptr) return;
    MapReader map(*node, alerting.path_of(name), out_.problems());
    bool is_off = false;
    map.read("disable", is_off);
    into.is_on = !is_off;
    merge_labels(into.labels, read_label_map(map, "labels"));
    merge_labels(into.annotations, read_label_map(map, "annotations"));
    map.finish();
  }

  void read_slo(const YamlNode& node, const std::string& path) {
    places_.clear();
    MapReader map(node, path, out_.problems());
    SloDefinition slo = out_.begin(alerting::SloFormat::kSloth);
    slo.service = service_;
    slo.labels = labels_;
    slo.alerts.alerts_on_no_data = false;  // Sloth has no such alert.
    map.read("name", slo.name);
    map.read("description", slo.description);
    read_number(map, "objective", slo.objective_percent);
    merge_labels(slo.labels, read_label_map(map, "labels"));
    refuse_plugins(map, "plugins");
    if (const YamlNode* sli = map.find("sli")) {
      places_["sli"] = sli;
      read_sli(*sli, path + ".sli", slo.sli);
    } else {
      out_.error(node, "an objective needs an sli");
    }
    if (const YamlNode* alerts = map.find("alerting")) {
      MapReader inner(*alerts, path + ".alerting", out_.problems());
      inner.read("name", slo.alerts.name);
      const alerting::LabelMap labels = read_label_map(inner, "labels");
      const alerting::LabelMap annotations = read_label_map(inner, "annotations");
      read_severity(inner, names_.page_alert, labels, annotations, slo.alerts.page);
      read_severity(inner, names_.ticket_alert, labels, annotations, slo.alerts.ticket);
      inner.finish();
    }
    for (const char* field : {"name", "objective", "labels"}) {
      if (const YamlNode* at = map.find(field)) places_[field] = at;
    }
    map.finish();
    out_.add(node, std::move(slo), places_);
  }

  const Names& names_;
  SloDocuments& out_;
  std::string service_;
  alerting::LabelMap labels_;
  SloDocuments::Places places_;
};

void read_window(MapReader& side, const char* name, Severity severity, Duration period,
                 std::vector<BurnTier>& tiers, SloDocuments& out) {
  const YamlNode* node = side.find(name);
  if (node == nullptr)
    return out.error(side.node(), fmt::format("{} is missing", side.path_of(name)));
  MapReader map(*node, side.path_of(name), out.problems());
  BurnTier tier{.severity = severity};
  double percent = 0;
  read_number(map, "errorBudgetPercent", percent);
  map.read("shortWindow", tier.short_window);
  map.read("longWindow", tier.long_window);
  map.finish();
  if (tier.long_window.ms <= 0 || tier.short_window.ms <= 0 || percent <= 0) {
    return out.error(*node, "a window needs errorBudgetPercent, shortWindow and longWindow");
  }
  tier.factor = alerting::burn_factor(percent, period, tier.long_window);
  tiers.push_back(tier);
}

void read_alert_windows(MapReader& spec, SloDocuments& out) {
  Duration period{0};
  spec.read("sloPeriod", period);
  if (period.ms <= 0) return out.error(spec.node(), "AlertWindows need a sloPeriod");
  std::vector<BurnTier> tiers;
  for (const auto& [name, severity] :
       {std::pair("page", Severity::kPage), std::pair("ticket", Severity::kTicket)}) {
    const YamlNode* node = spec.find(name);
    if (node == nullptr) {
      out.error(spec.node(), fmt::format("{} is missing", spec.path_of(name)));
      continue;
    }
    MapReader side(*node, spec.path_of(name), out.problems());
    read_window(side, "quick", severity, period, tiers, out);
    read_window(side, "slow", severity, period, tiers, out);
    side.finish();
  }
  out.contents().windows[period] = std::move(tiers);
}

}  // namespace

void read_sloth(const YamlNode& root, SloDocuments& out) {
  MapReader map(root, "", out.problems());
  if (map.has("version")) {
    map.find("version");
    Reader(kFile, out).run(map);
    return map.finish();
  }
  map.find("apiVersion");
  map.find("metadata");
  map.find("status");
  std::string kind;
  map.read("kind", kind);
  if (const YamlNode* node = map.find("spec")) {
    MapReader spec(*node, "spec", out.problems());
    if (kind == "PrometheusServiceLevel") {
      Reader(kKubernetes, out).run(spec);
    } else if (kind == "AlertWindows") {
      read_alert_windows(spec, out);
    } else {
      return out.error(root, fmt::format("the kind {} is neither PrometheusServiceLevel nor "
                                         "AlertWindows",
                                         quote(kind)));
    }
    spec.finish();
  } else {
    out.error(root, "spec is missing");
  }
  map.finish();
}

}  // namespace tarsier::server
