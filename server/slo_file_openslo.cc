// OpenSLO v1: documents of one file that refer to each other by name.

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "alerting/sli_terms.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "server/slo_document.h"

namespace tarsier::server {
namespace {

using alerting::BurnComparison;
using alerting::BurnTier;
using alerting::CalendarUnit;
using alerting::Severity;
using alerting::SliComparison;
using alerting::SliDefinition;
using alerting::SloDefinition;

/// `30d`, `4w`, `1M`, `1Q`, `1Y`, with m for minutes.
std::optional<Duration> openslo_duration(std::string_view text) {
  std::int64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{} || stop + 1 != end || count <= 0 || count > 1'000'000) {
    return std::nullopt;
  }
  switch (*stop) {
    case 's': return seconds(count);
    case 'm': return minutes(count);
    case 'h': return hours(count);
    case 'd': return days(count);
    case 'w': return days(7 * count);
    case 'M': return days(30 * count);
    case 'Q': return days(90 * count);
    case 'Y': return days(365 * count);
    default: return std::nullopt;
  }
}

CalendarUnit unit_of(std::string_view text) {
  if (text == "1w") return CalendarUnit::kWeek;
  if (text == "1M") return CalendarUnit::kMonth;
  if (text == "1Q") return CalendarUnit::kQuarter;
  if (text == "1Y") return CalendarUnit::kYear;
  return CalendarUnit::kNone;
}

class Reader final {
 public:
  Reader(const std::vector<const YamlNode*>& roots, SloDocuments& out) : out_(out) {
    for (const YamlNode* root : roots) {
      const std::string kind = text_at(*root, "kind");
      const YamlNode* metadata = node_at(*root, "metadata");
      const std::string name = metadata == nullptr ? "" : text_at(*metadata, "name");
      documents_[{kind, name}] = root;
      static constexpr std::string_view kKinds[] = {"Service",
                                                    "DataSource",
                                                    "SLI",
                                                    "SLO",
                                                    "AlertPolicy",
                                                    "AlertCondition",
                                                    "AlertNotificationTarget"};
      if (std::find(std::begin(kKinds), std::end(kKinds), kind) == std::end(kKinds)) {
        out_.error(*root, fmt::format("OpenSLO v1 has no kind {}", quote(kind)));
      }
    }
  }

  void run() {
    for (const auto& [key, root] : documents_) {
      if (key.first == "SLO") read_slo(*root);
    }
  }

 private:
  const YamlNode* referred(const YamlNode& at, const std::string& kind, const std::string& name) {
    const auto found = documents_.find({kind, name});
    if (found != documents_.end()) return found->second;
    out_.error(at, fmt::format("there is no {} {} in this file", kind, quote(name)));
    return nullptr;
  }

  void read_slo(const YamlNode& root) {
    places_.clear();
    MapReader map(root, "", out_.problems());
    map.find("apiVersion");
    map.find("kind");
    SloDefinition slo = out_.begin(alerting::SloFormat::kOpenSlo);
    if (const YamlNode* node = map.find("metadata")) read_metadata(*node, slo);
    const YamlNode* node = map.find("spec");
    map.finish();
    if (node == nullptr) return out_.error(root, "spec is missing");
    MapReader spec(*node, "spec", out_.problems());
    spec.read("description", slo.description);
    spec.read("service", slo.service);
    if (const YamlNode* at = spec.find("service")) places_["service"] = at;
    read_window(spec, slo);
    std::string method = "Occurrences";
    spec.read("budgetingMethod", method);
    method_ = method;
    if (method != "Occurrences" && method != "Timeslices" && method != "RatioTimeslices") {
      out_.error(*spec.find("budgetingMethod"),
                 fmt::format("a budgetingMethod is Occurrences, Timeslices or RatioTimeslices, not "
                             "{}",
                             quote(method)));
    }
    const YamlNode* indicator = nullptr;
    std::string reference;
    spec.read("indicatorRef", reference);
    if (!reference.empty()) {
      const YamlNode* sli = referred(*spec.find("indicatorRef"), "SLI", reference);
      indicator = sli == nullptr ? nullptr : node_at(*sli, "spec");
    } else if (const YamlNode* inside = spec.find("indicator")) {
      indicator = node_at(*inside, "spec");
    }
    read_policies(spec, slo);
    const YamlNode* objectives = spec.find_list("objectives");
    spec.finish();
    if (indicator == nullptr) return out_.error(*node, "an SLO needs an indicator or indicatorRef");
    if (objectives == nullptr || objectives->items.empty()) {
      return out_.error(*node, "an SLO needs objectives");
    }
    places_["sli"] = indicator;
    read_indicator(*indicator, slo);
    for (std::size_t i = 0; i < objectives->items.size(); ++i) {
      SloDefinition one = slo;
      if (objectives->items.size() > 1) one.name = fmt::format("{}-{}", slo.name, i);
      read_objective(objectives->items[i], fmt::format("spec.objectives[{}]", i), one);
      out_.add(root, std::move(one), places_);
    }
  }

  void read_metadata(const YamlNode& node, SloDefinition& slo) {
    MapReader map(node, "metadata", out_.problems());
    map.read("name", slo.name);
    if (const YamlNode* at = map.find("name")) places_["name"] = at;
    map.find("displayName");
    map.find("annotations");
    if (const YamlNode* labels = map.find("labels")) {
      for (const auto& [key, value] : labels->entries) {
        const bool is_list = value.kind == YamlNode::Kind::kSequence && !value.items.empty();
        slo.labels.emplace_back(key.text, is_list ? value.items[0].text : value.text);
      }
      std::sort(slo.labels.begin(), slo.labels.end());
    }
    map.finish();
  }

  void read_window(MapReader& spec, SloDefinition& slo) {
    const YamlNode* list = spec.find_list("timeWindow");
    if (list == nullptr || list->items.size() != 1) {
      return out_.error(spec.node(), "an SLO has exactly one timeWindow");
    }
    MapReader map(list->items[0], "spec.timeWindow[0]", out_.problems());
    places_["period"] = &list->items[0];
    std::string duration;
    map.read("duration", duration);
    bool is_rolling = false;
    map.read("isRolling", is_rolling);
    if (const YamlNode* calendar = map.find("calendar"); calendar != nullptr && !is_rolling) {
      MapReader inner(*calendar, "spec.timeWindow[0].calendar", out_.problems());
      inner.find("startTime");  // Units begin where calendars say.
      inner.read("timeZone", slo.period.zone_name);
      inner.finish();
      slo.period.unit = unit_of(duration);
      if (slo.period.unit == CalendarUnit::kNone) {
        out_.error(list->items[0],
                   fmt::format("a calendar window is 1w, 1M, 1Q or 1Y, not {}", quote(duration)));
      }
      if (!slo.period.zone_name.empty()) {
        Result<alerting::TimeZone> zone =
            alerting::TimeZone::load(out_.files(), slo.period.zone_name);
        if (zone.ok()) {
          slo.period.zone = std::move(*zone);
        } else {
          out_.error(*calendar, zone.status().message());
        }
      }
    } else if (const std::optional<Duration> length = openslo_duration(duration)) {
      slo.period.length = *length;
    } else {
      out_.error(list->items[0], fmt::format("{} is no duration", quote(duration)));
    }
    map.finish();
  }

  /// The query of a `{metricSource: {type, spec: {query}}}`.
  std::string query_of(MapReader& map, const char* name) {
    const YamlNode* node = map.find(name);
    if (node == nullptr) return "";
    const YamlNode* source = node_at(*node, "metricSource");
    const YamlNode* spec = source == nullptr ? nullptr : node_at(*source, "spec");
    const YamlNode* query = spec == nullptr ? nullptr : node_at(*spec, "query");
    if (query == nullptr) {
      out_.error(*node, fmt::format("{} needs metricSource.spec.query", map.path_of(name)));
      return "";
    }
    places_[std::string("sli.") + name] = query;
    std::string text = query->text;
    // Sloth's dialect.
    for (std::size_t at = text.find("{{"); at != std::string::npos; at = text.find("{{", at + 1)) {
      const std::size_t end = text.find("}}", at);
      if (end != std::string::npos &&
          text.substr(at, end - at).find(".window") != std::string::npos) {
        text.replace(at, end + 2 - at, "$window");
      }
    }
    return text;
  }

  /// Raw counters become their increase; what has a window of its own stays a query.
  std::string as_increase(const std::string& query) {
    if (query.find("$window") != std::string::npos) return query;
    if (query::parse_metric_selector(query).ok()) {
      return fmt::format("sum(increase({}[$window]))", query);
    }
    if (query.starts_with("sum(") && query.ends_with(")")) {
      const std::string inside = query.substr(4, query.size() - 5);
      if (query::parse_metric_selector(inside).ok()) {
        return fmt::format("sum(increase({}[$window]))", inside);
      }
    }
    return query;
  }

  void read_ratio(const YamlNode& node, SloDefinition& slo) {
    MapReader map(node, "spec.indicator.ratioMetric", out_.problems());
    bool is_counter = false;
    map.read("counter", is_counter);
    SliDefinition& sli = slo.sli;
    const std::string raw = query_of(map, "raw");
    if (!raw.empty()) {
      sli.kind = SliDefinition::Kind::kRatio;
      std::string type = "failure";
      map.read("rawType", type);
      sli.ratio = type == "success" ? fmt::format("1 - ({})", raw) : raw;
      if (raw.find("$window") == std::string::npos) {
        sli.ratio = fmt::format("avg_over_time(({})[$window:])", sli.ratio);
        slo.warnings.push_back("the raw ratio has no window: windows are averages of it");
      }
      return map.finish();
    }
    std::string good = query_of(map, "good");
    std::string bad = query_of(map, "bad");
    std::string total = query_of(map, "total");
    sli.kind = SliDefinition::Kind::kQueries;
    const auto converted = [&](const std::string& query) {
      std::string out = is_counter ? as_increase(query) : query;
      if (!out.empty() && out.find("$window") == std::string::npos) {
        out = fmt::format("sum_over_time(({})[$window:])", out);
        slo.warnings.push_back(
            fmt::format("the query {} has no window: windows are sums of its values, approximately",
                        quote(query)));
      }
      return out;
    };
    sli.good = converted(good);
    sli.errors = converted(bad);
    sli.total = converted(total);
    if (sli.good.empty() == sli.errors.empty() || sli.total.empty()) {
      out_.error(node, "a ratioMetric has good or bad, and total, or raw");
    }
    map.finish();
  }

  void read_indicator(const YamlNode& node, SloDefinition& slo) {
    MapReader map(node, "spec.indicator.spec", out_.problems());
    map.find("description");
    const YamlNode* ratio = map.find("ratioMetric");
    const YamlNode* threshold = map.find("thresholdMetric");
    if ((ratio == nullptr) == (threshold == nullptr)) {
      out_.error(node, "an SLI is either a ratioMetric or a thresholdMetric");
    } else if (ratio != nullptr) {
      read_ratio(*ratio, slo);
    } else {
      slo.sli.kind = SliDefinition::Kind::kComparison;
      slo.sli.gauge = query_of(map, "thresholdMetric");
    }
    map.finish();
  }

  void read_objective(const YamlNode& node, const std::string& path, SloDefinition& slo) {
    MapReader map(node, path, out_.problems());
    map.find("displayName");
    places_["objective"] = &node;
    double target = 0;
    if (read_number(map, "targetPercent", target)) {
      slo.objective_percent = target;
    } else if (read_number(map, "target", target)) {
      // Ratios such as 0.999 are meant as written, not as their nearest double times 100.
      slo.objective_percent = static_cast<double>(std::llround(target * 1e10)) / 1e8;
    }
    std::string op;
    map.read("op", op);
    const bool is_compared = slo.sli.kind == SliDefinition::Kind::kComparison;
    read_number(map, "value", slo.sli.bound);
    static const std::map<std::string_view, SliComparison> kComparisons = {
        {"lt", SliComparison::kLess},
        {"lte", SliComparison::kLessEqual},
        {"gt", SliComparison::kGreater},
        {"gte", SliComparison::kGreaterEqual}};
    const auto found = kComparisons.find(op);
    if (is_compared && found == kComparisons.end()) {
      out_.error(node, fmt::format("op is lt, lte, gt or gte, not {}", quote(op)));
    } else if (is_compared) {
      slo.sli.comparison = found->second;
    }
    map.find("compositeWeight");
    read_slices(map, node, slo);
    map.finish();
  }

  /// A slice of time is good when its own share of good events reaches the target; the budget is
  /// one of slices. Slices without events are not measured.
  void read_slices(MapReader& map, const YamlNode& node, SloDefinition& slo) {
    double target = 0;
    const bool has_target = read_number(map, "timeSliceTarget", target);
    std::string length;
    map.read("timeSliceWindow", length);
    if (method_ == "Occurrences") return;
    if (!length.empty() && length.find_first_not_of("0123456789") == std::string::npos) {
      length += 'm';  // A number is of minutes.
    }
    const std::optional<Duration> slice = openslo_duration(length.empty() ? "1m" : length);
    const bool is_whole = method_ == "Timeslices";
    if (!slice || *slice < minutes(1) || *slice > hours(1)) {
      return out_.error(node, "a timeSliceWindow is between 1 minute and 1 hour");
    }
    if (is_whole && (!has_target || target <= 0 || target > 1)) {
      return out_.error(node, "Timeslices need a timeSliceTarget above 0 and at most 1");
    }
    const std::string ratio = alerting::queries_of(slo.sli, slo.group_by, *slice).ratio;
    const std::string bad =
        is_whole ? fmt::format("(({}) >= 0) > bool {}", ratio, plain_number(1 - target))
                 : fmt::format("({}) >= 0", ratio);
    slo.sli = {
        .kind = SliDefinition::Kind::kRatio,
        .ratio = fmt::format("avg_over_time(({})[$window:{}])", bad, format_duration(*slice))};
  }

  void read_policies(MapReader& spec, SloDefinition& slo) {
    slo.alerts.alerts_on_no_data = false;
    const YamlNode* list = spec.find_list("alertPolicies");
    if (list == nullptr) {
      slo.alerts.page.is_on = slo.alerts.ticket.is_on = false;  // Nobody asked to be told.
      return;
    }
    for (const YamlNode& item : list->items) {
      const std::string reference =
          item.kind == YamlNode::Kind::kScalar ? item.text : text_at(item, "alertPolicyRef");
      const YamlNode* policy = reference.empty() ? &item : referred(item, "AlertPolicy", reference);
      if (policy == nullptr) continue;
      const YamlNode* inner = node_at(*policy, "spec");
      if (inner != nullptr) read_policy(*inner, slo);
    }
    const auto has = [&](Severity severity) {
      return slo.alerts.tiers.empty() ||
             std::any_of(slo.alerts.tiers.begin(), slo.alerts.tiers.end(),
                         [&](const BurnTier& tier) { return tier.severity == severity; });
    };
    slo.alerts.page.is_on = has(Severity::kPage);
    slo.alerts.ticket.is_on = has(Severity::kTicket);
  }

  void read_policy(const YamlNode& node, SloDefinition& slo) {
    MapReader map(node, "AlertPolicy.spec", out_.problems());
    map.find("description");
    map.find("notificationTargets");
    map.find("alertWhenBreaching");
    map.find("alertWhenResolved");
    bool no_data = false;
    map.read("alertWhenNoData", no_data);
    slo.alerts.alerts_on_no_data = slo.alerts.alerts_on_no_data || no_data;
    if (const YamlNode* conditions = map.find_list("conditions")) {
      for (const YamlNode& item : conditions->items) {
        const std::string reference = text_at(item, "conditionRef");
        const YamlNode* condition =
            reference.empty() ? &item : referred(item, "AlertCondition", reference);
        const YamlNode* inner = condition == nullptr ? nullptr : node_at(*condition, "spec");
        if (inner != nullptr) read_condition(*inner, slo);
      }
    }
    map.finish();
  }

  void read_condition(const YamlNode& node, SloDefinition& slo) {
    MapReader map(node, "AlertCondition.spec", out_.problems());
    map.find("description");
    std::string severity = "page";
    map.read("severity", severity);
    const YamlNode* condition = map.find("condition");
    map.finish();
    if (condition == nullptr) return;  // The usual tiers.
    MapReader inner(*condition, "AlertCondition.spec.condition", out_.problems());
    std::string kind = "burnrate";
    inner.read("kind", kind);
    if (kind != "burnrate") {
      out_.error(*condition, fmt::format("conditions are burnrate, not {}", quote(kind)));
    }
    BurnTier tier{.severity = severity == "ticket" ? Severity::kTicket : Severity::kPage};
    std::string op = "gt";
    inner.read("op", op);
    read_number(inner, "threshold", tier.factor);
    std::string lookback;
    std::string after;
    inner.read("lookbackWindow", lookback);
    inner.read("alertAfter", after);
    inner.finish();
    const std::optional<Duration> window = openslo_duration(lookback);
    if (!window) {
      out_.error(*condition, fmt::format("{} is no duration", quote(lookback)));
      return;
    }
    tier.long_window = tier.short_window = *window;
    tier.hold = openslo_duration(after).value_or(Duration{0});
    static const std::map<std::string_view, BurnComparison> kComparisons = {
        {"lt", BurnComparison::kBelow},
        {"lte", BurnComparison::kAtMost},
        {"gt", BurnComparison::kAbove},
        {"gte", BurnComparison::kAtLeast}};
    const auto found = kComparisons.find(op);
    if (found == kComparisons.end()) {
      out_.error(*condition, fmt::format("op is lt, lte, gt or gte, not {}", quote(op)));
    } else {
      tier.comparison = found->second;
    }
    if (op == "lt" || op == "lte") {
      slo.warnings.push_back(
          fmt::format("op: {} fires while the budget burns slower than {}; gt fires above it", op,
                      tier.factor));
    }
    slo.alerts.tiers.push_back(tier);
  }

  SloDocuments& out_;
  std::string method_;  ///< Of the SLO that is read.
  std::map<std::pair<std::string, std::string>, const YamlNode*> documents_;
  SloDocuments::Places places_;
};

}  // namespace

void read_openslo(const std::vector<const YamlNode*>& roots, SloDocuments& out) {
  Reader(roots, out).run();
}

}  // namespace tarsier::server
