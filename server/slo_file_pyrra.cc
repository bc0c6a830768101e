// Pyrra's ServiceLevelObjective, `pyrra.dev/v1alpha1`.

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/quote.h"
#include "query/parse.h"
#include "server/slo_document.h"

namespace tarsier::server {
namespace {

using alerting::BurnTier;
using alerting::SliDefinition;
using alerting::SloDefinition;

constexpr std::string_view kPropagated = "pyrra.dev/";

/// Labels and annotations whose names begin with pyrra.dev/, without that.
alerting::LabelMap propagated(const alerting::LabelMap& all) {
  alerting::LabelMap out;
  for (const auto& [name, value] : all) {
    if (name.starts_with(kPropagated)) out.emplace_back(name.substr(kPropagated.size()), value);
  }
  return out;
}

class Reader final {
 public:
  explicit Reader(const YamlNode& root, SloDocuments& out) : root_(root), out_(out) {}

  void run() {
    MapReader map(root_, "", out_.problems());
    map.find("apiVersion");
    map.find("status");
    std::string kind;
    map.read("kind", kind);
    if (kind != "ServiceLevelObjective") {
      return out_.error(root_,
                        fmt::format("the kind {} is not ServiceLevelObjective", quote(kind)));
    }
    slo_ = out_.begin(alerting::SloFormat::kPyrra);
    if (const YamlNode* node = map.find("metadata")) read_metadata(*node);
    if (const YamlNode* node = map.find("spec")) {
      read_spec(*node);
    } else {
      out_.error(root_, "spec is missing");
    }
    map.finish();
    out_.add(root_, std::move(slo_), places_);
  }

 private:
  void read_metadata(const YamlNode& node) {
    MapReader map(node, "metadata", out_.problems());
    map.read("name", slo_.name);
    if (const YamlNode* at = map.find("name")) places_["name"] = at;
    slo_.labels = propagated(read_label_map(map, "labels"));
    slo_.annotations = propagated(read_label_map(map, "annotations"));
    // The rest is Kubernetes'.
    for (const auto& [key, value] : node.entries) map.find(key.text);
  }

  void read_spec(const YamlNode& node) {
    MapReader map(node, "spec", out_.problems());
    map.read("description", slo_.description);
    read_number(map, "target", slo_.objective_percent);
    if (const YamlNode* at = map.find("target")) places_["objective"] = at;
    slo_.period.length = Duration{0};
    map.read("window", slo_.period.length);
    places_["period"] = map.has("window") ? map.find("window") : &node;
    map.find("performanceOverAccuracy");  // A matter of generated rules.
    map.find("ruleOutput");
    map.find("partial_response_strategy");
    map.find("servicelevel");
    if (const YamlNode* indicator = map.find("indicator")) {
      read_indicator(*indicator);
    } else {
      out_.error(node, "spec.indicator is missing");
    }
    if (const YamlNode* alerts = map.find("alerting")) read_alerting(*alerts);
    map.finish();
  }

  /// `{metric: selector}`
  std::string metric_of(MapReader& map, const char* name, const char* field) {
    std::string metric;
    const YamlNode* node = map.find(name);
    if (node == nullptr) {
      out_.error(map.node(), fmt::format("{} is missing", map.path_of(name)));
      return metric;
    }
    MapReader inner(*node, map.path_of(name), out_.problems());
    inner.read("metric", metric);
    inner.finish();
    places_[field] = node;
    return metric;
  }

  void read_indicator(const YamlNode& node) {
    MapReader map(node, "spec.indicator", out_.problems());
    places_["sli"] = &node;
    int count = 0;
    SliDefinition& sli = slo_.sli;
    const auto inner_of = [&](const char* name) -> const YamlNode* {
      const YamlNode* found = map.find(name);
      if (found != nullptr) ++count;
      return found;
    };
    if (const YamlNode* ratio = inner_of("ratio")) {
      MapReader inner(*ratio, "spec.indicator.ratio", out_.problems());
      sli.kind = SliDefinition::Kind::kErrors;
      sli.errors = metric_of(inner, "errors", "sli.errors");
      sli.total = metric_of(inner, "total", "sli.total");
      inner.read("grouping", slo_.group_by);
      inner.finish();
    }
    if (const YamlNode* latency = inner_of("latency")) {
      MapReader inner(*latency, "spec.indicator.latency", out_.problems());
      sli.kind = SliDefinition::Kind::kBuckets;
      sli.good = metric_of(inner, "success", "sli.good");
      sli.total = metric_of(inner, "total", "sli.total");
      inner.read("grouping", slo_.group_by);
      inner.finish();
      check_bucket(*latency, sli.good);
    }
    if (const YamlNode* native = inner_of("latencyNative")) {
      MapReader inner(*native, "spec.indicator.latencyNative", out_.problems());
      sli.kind = SliDefinition::Kind::kLatency;
      sli.is_native = true;
      sli.histogram = metric_of(inner, "total", "sli.latency.histogram");
      Duration below{0};
      inner.read("latency", below);
      sli.bound = static_cast<double>(below.ms) / 1000;
      inner.read("grouping", slo_.group_by);
      inner.finish();
    }
    if (const YamlNode* gauge = inner_of("bool_gauge")) {
      MapReader inner(*gauge, "spec.indicator.bool_gauge", out_.problems());
      sli.kind = SliDefinition::Kind::kGauge;
      if (inner.has("metric") && inner.find("metric")->kind == YamlNode::Kind::kMap) {
        sli.gauge = metric_of(inner, "metric", "sli.gauge");
      } else {
        inner.read("metric", sli.gauge);
        if (const YamlNode* at = inner.find("metric")) places_["sli.gauge"] = at;
      }
      inner.read("grouping", slo_.group_by);
      inner.finish();
    }
    if (count != 1) {
      out_.error(node,
                 "an indicator is exactly one of ratio, latency, latencyNative and bool_gauge");
    }
    map.finish();
  }

  void check_bucket(const YamlNode& at, const std::string& selector) {
    const Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(selector);
    if (!matchers.ok()) return;  // Told with the rest.
    const bool has_bound =
        std::any_of(matchers->begin(), matchers->end(),
                    [](const tsdb::Matcher& matcher) { return matcher.name() == "le"; });
    if (!has_bound) out_.error(at, "the selector of success must say le");
  }

  void read_alerting(const YamlNode& node) {
    MapReader map(node, "spec.alerting", out_.problems());
    bool burns = true;
    bool absent = true;
    map.read("burnrates", burns);
    map.read("absent", absent);
    bool is_off = false;
    map.read("disabled", is_off);
    slo_.alerts.page.is_on = slo_.alerts.ticket.is_on = burns && !is_off;
    slo_.alerts.alerts_on_no_data = absent && !is_off;
    map.read("name", slo_.alerts.name);
    map.read("absentName", slo_.alerts.no_data_name);
    if (const YamlNode* severities = map.find("severities")) {
      MapReader inner(*severities, "spec.alerting.severities", out_.problems());
      inner.read("absent", slo_.alerts.no_data_severity);
      for (const char* const tier : {"fastBurn", "mediumBurn", "slowBurn", "longTermBurn"}) {
        inner.read(tier, slo_.alerts.tier_severities.emplace_back());
      }
      inner.finish();
    }
    map.finish();
  }

  const YamlNode& root_;
  SloDocuments& out_;
  SloDefinition slo_;
  SloDocuments::Places places_;
};

}  // namespace

void read_pyrra(const YamlNode& root, SloDocuments& out) { Reader(root, out).run(); }

}  // namespace tarsier::server
