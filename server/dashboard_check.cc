#include "server/dashboard_check.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/quote.h"
#include "query/parse.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kUidLengthMax = 40;
constexpr std::int64_t kColumns = 24;
constexpr std::array<std::string_view, 18> kPanelTypes = {
    "timeseries", "stat",      "table",  "heatmap",   "bargauge", "state-timeline",
    "row",        "nodeGraph", "text",   "gauge",     "barchart", "piechart",
    "histogram",  "logs",      "traces", "alertlist", "dashlist", "status-history"};
constexpr std::array<std::string_view, 22> kUnits = {
    "short",  "none",          "s",       "ms",    "µs",  "ns",  "bytes",       "decbytes", "Bps",
    "binBps", "percentunit",   "percent", "reqps", "ops", "pps", "dtdurations", "iops",     "cps",
    "bool",   "dateTimeAsIso", "rps",     "string"};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// What Grafana puts where a variable of its own stands.
std::string_view builtin_value(std::string_view name) {
  static const std::map<std::string_view, std::string_view> values = {
      {"__rate_interval", "5m"}, {"__interval", "1m"},      {"__range", "1h"},
      {"__range_s", "3600"},     {"__range_ms", "3600000"}, {"__interval_ms", "60000"},
      {"__from", "0"},           {"__to", "3600000"}};
  const auto found = values.find(name);
  return found == values.end() ? std::string_view() : found->second;
}

/// The variable at `at`, where a `$` or `[[` stands, and how long its mention is; 0: there is none.
std::size_t variable_at(std::string_view text, std::size_t at, std::string_view& name) {
  const auto until = [&](std::size_t from, std::string_view end) -> std::size_t {
    const std::size_t close = text.find(end, from);
    if (close == std::string_view::npos) return 0;
    name = text.substr(from, close - from);
    name = name.substr(0, name.find(':'));
    return close + end.size() - at;
  };
  if (text.substr(at).starts_with("[[")) return until(at + 2, "]]");
  if (text[at] != '$') return 0;
  if (text.substr(at).starts_with("${")) return until(at + 2, "}");
  std::size_t end = at + 1;
  while (end < text.size() && is_word(text[end])) ++end;
  name = text.substr(at + 1, end - at - 1);
  return name.empty() ? 0 : end - at;
}

std::string text_of(const JsonValue* value) {
  const Result<std::string> text = value ? value->as_string() : Result<std::string>(std::string());
  return text.ok() ? *text : "";
}
std::int64_t number_of(const JsonValue* value) {
  const Result<std::int64_t> n = value ? value->as_int64() : Result<std::int64_t>(std::int64_t{-1});
  return n.ok() ? *n : -1;
}
const std::vector<JsonValue>& items_of(const JsonValue* value) {
  static const std::vector<JsonValue> none;
  return value ? value->items() : none;
}

/// Reads one dashboard into a report.
class Checker final {
 public:
  explicit Checker(DashboardReport& report) : report_(report) {}

  void run(const JsonValue& root) {
    if (root.kind() != JsonKind::kObject) return problem("a dashboard is a JSON object");
    report_.title = text_of(root.find("title"));
    for (const char* key : {"uid", "title", "schemaVersion", "time", "panels", "templating"}) {
      if (root.find(key) == nullptr) problem(fmt::format("{} is missing", key));
    }
    if (text_of(root.find("uid")).size() > kUidLengthMax) {
      problem(fmt::format("uid is longer than {} characters", kUidLengthMax));
    }
    if (root.find("__inputs") != nullptr || root.find("__requires") != nullptr) {
      finding(
          "__inputs and __requires belong to files for Grafana's catalogue, not to provisioned "
          "ones");
    }
    const JsonValue* id = root.find("id");
    if (id != nullptr && !id->is_null()) finding("id is another Grafana's; null is nobody's");
    const JsonValue* editable = root.find("editable");
    const Result<bool> is_editable = editable ? editable->as_bool() : Result<bool>(true);
    if (!is_editable.ok() || *is_editable) {
      finding("it is editable, and what is edited is lost when the file is read again");
    }
    read_variables(root.find("templating"));
    const JsonValue* annotations = root.find("annotations");
    for (const JsonValue& one : items_of(annotations ? annotations->find("list") : nullptr)) {
      const std::string place = "annotation " + quote(text_of(one.find("name")));
      check_source(one, place);
      if (const std::string text = text_of(one.find("expr")); !text.empty()) {
        add_query(place, text, true);
      }
    }
    for (const JsonValue& panel : items_of(root.find("panels"))) check_panel(panel, true);
  }

 private:
  struct Area {
    std::int64_t x, y, w, h;
    std::string name;
  };

  void problem(std::string text) { report_.problems.push_back(std::move(text)); }
  void finding(std::string text) { report_.findings.push_back(std::move(text)); }

  void read_variables(const JsonValue* templating) {
    for (const JsonValue& one : items_of(templating ? templating->find("list") : nullptr)) {
      const std::string name = text_of(one.find("name"));
      const std::string type = text_of(one.find("type"));
      variables_.insert(name);
      if (type != "query") continue;
      const std::string place = "variable " + quote(name);
      check_source(one, place);
      const JsonValue* query = one.find("query");
      const bool is_object = query != nullptr && query->kind() == JsonKind::kObject;
      const std::string text = text_of(is_object ? query->find("query") : query);
      check_variable(place, text);
      if (number_of(one.find("refresh")) != 2) {
        finding(place + " keeps its values when the time changes: refresh is not 2");
      }
    }
  }

  /// `label_values(x{a="b"}, label)`, `label_names()`, `metrics(...)`, `query_result(expr)`.
  void check_variable(const std::string& place, std::string_view text) {
    const std::size_t open = text.find('(');
    const std::string_view function = text.substr(0, open);
    if (open == std::string_view::npos || !text.ends_with(")")) {
      return problem(place + ": " + quote(text) + " is no query of a variable");
    }
    const std::string_view inside = text.substr(open + 1, text.size() - open - 2);
    if (function == "query_result") return add_query(place, inside, true);
    if (function != "label_values") return;
    const std::size_t comma = inside.rfind(',');
    if (comma == std::string_view::npos || inside.find('}', comma) != std::string_view::npos)
      return;
    const std::string selector = fill_variables(inside.substr(0, comma));
    const auto matchers = query::parse_metric_selector(selector);
    if (!matchers.ok()) problem(fmt::format("{}: {}", place, matchers.status().message()));
  }

  void check_source(const JsonValue& owner, const std::string& place) {
    const JsonValue* source = owner.find("datasource");
    if (source == nullptr || source->is_null()) {
      return problem(place + " has no data source: Grafana takes whatever is its default");
    }
    const std::string uid =
        source->kind() == JsonKind::kObject ? text_of(source->find("uid")) : text_of(source);
    if (!uid.starts_with("$") && !uid.starts_with("-- ")) {
      problem(fmt::format("{} names the data source {}; a variable would fit any Grafana", place,
                          quote(uid)));
    }
  }

  void check_panel(const JsonValue& panel, bool is_placed) {
    const std::string title = text_of(panel.find("title"));
    const std::string type = text_of(panel.find("type"));
    const std::int64_t id = number_of(panel.find("id"));
    const std::string place = fmt::format("panel {} {}", id, quote(title));
    if (id < 0) problem(place + " has no id");
    if (id >= 0 && !ids_.insert(id).second) problem(place + ": another panel has the same id");
    if (std::find(kPanelTypes.begin(), kPanelTypes.end(), type) == kPanelTypes.end()) {
      problem(fmt::format("{} is of type {}, which Grafana no longer has or never had", place,
                          quote(type)));
    }
    if (is_placed) check_place(panel, place);
    if (type == "row") {
      // Panels of a folded row stand in it.
      for (const JsonValue& inner : items_of(panel.find("panels"))) check_panel(inner, false);
      return;
    }
    if (title.empty()) finding(place + " has no title");
    if (text_of(panel.find("description")).empty()) finding(place + " has no description");
    check_text(title, place);
    check_text(text_of(panel.find("description")), place);
    if (type == "text" || type == "dashlist" || type == "alertlist") return;
    const JsonValue* field = panel.find("fieldConfig");
    const JsonValue* defaults = field ? field->find("defaults") : nullptr;
    const std::string unit = text_of(defaults ? defaults->find("unit") : nullptr);
    if (unit.empty()) {
      finding(place + " has no unit");
    } else if (std::find(kUnits.begin(), kUnits.end(), unit) == kUnits.end()) {
      finding(
          fmt::format("{} has the unit {}, which is none of the usual ones", place, quote(unit)));
    }
    const std::string no_value = text_of(defaults ? defaults->find("noValue") : nullptr);
    if (no_value.empty()) finding(place + " does not say what no data means: noValue");
    check_source(panel, place);
    const bool is_optional = !no_value.empty() && no_value != "no data";
    const std::vector<JsonValue>& targets = items_of(panel.find("targets"));
    if (targets.empty()) problem(place + " asks nothing");
    std::set<std::string> names;
    for (const JsonValue& target : targets) {
      const std::string name = text_of(target.find("refId"));
      const std::string query = fmt::format("{}, query {}", place, name);
      if (name.empty()) problem(place + ": a query has no refId");
      if (!names.insert(name).second) problem(query + ": another one has the same refId");
      check_source(target, query);
      if (const std::string text = text_of(target.find("expr")); !text.empty()) {
        add_query(query, text, is_optional);
      }
    }
  }

  void check_place(const JsonValue& panel, const std::string& place) {
    const JsonValue* at = panel.find("gridPos");
    if (at == nullptr) return problem(place + " has no gridPos");
    const Area area{.x = number_of(at->find("x")),
                    .y = number_of(at->find("y")),
                    .w = number_of(at->find("w")),
                    .h = number_of(at->find("h")),
                    .name = place};
    if (area.x < 0 || area.y < 0 || area.w <= 0 || area.h <= 0 || area.x > kColumns - area.w) {
      return problem(place + " does not lie on the 24 columns");
    }
    for (const Area& other : areas_) {
      const bool is_beside = area.x >= other.x + other.w || other.x >= area.x + area.w ||
                             area.y >= other.y + other.h || other.y >= area.y + area.h;
      if (!is_beside) problem(fmt::format("{} lies on {}", place, other.name));
    }
    areas_.push_back(area);
  }

  void check_text(const std::string& text, const std::string& place) {
    if (text.find("://") != std::string::npos) {
      finding(place + " names a host, which is another one elsewhere");
    }
  }

  void add_query(const std::string& place, std::string_view text, bool is_optional) {
    for (std::size_t at = 0; at < text.size(); ++at) {
      std::string_view name;
      const std::size_t length = variable_at(text, at, name);
      if (length == 0) continue;
      if (!name.starts_with("__") && !variables_.contains(std::string(name))) {
        problem(fmt::format("{}: there is no variable {}", place, quote(name)));
      }
      if (name.starts_with("__") && builtin_value(name).empty()) {
        problem(fmt::format("{}: Grafana has no variable {}", place, quote(name)));
      }
      at += length - 1;
    }
    DashboardQuery query{
        .place = place, .expression = fill_variables(text), .is_optional = is_optional};
    const Result<query::ExprPtr> parsed = query::parse_expression(query.expression);
    if (!parsed.ok()) {
      return problem(fmt::format("{}: {}: {}", place, parsed.status().message(), query.expression));
    }
    check_rates(**parsed, place);
    check_interval(text, place);
    report_.queries.push_back(std::move(query));
  }

  /// A counter without a rate shows its age and no news.
  void check_rates(const query::Expr& e, const std::string& place) {
    if (e.kind == query::ExprKind::kCall) {
      const std::string_view name = query::as<query::Call>(e).function.name;
      if (name == "rate" || name == "increase" || name == "irate" || name == "absent" ||
          name == "resets" || name == "changes") {
        return;
      }
    }
    if (e.kind == query::ExprKind::kAggregate) {
      const query::AggregateOp op = query::as<query::Aggregate>(e).op;
      if (op == query::AggregateOp::kCount || op == query::AggregateOp::kGroup) return;
    }
    if (e.kind == query::ExprKind::kSelector) {
      const std::string& name = query::as<query::Selector>(e).name;
      if (name.ends_with("_total"))
        finding(fmt::format("{}: {} is a counter without rate()", place, name));
    }
    for (const query::Expr* child : query::children_of(e)) check_rates(*child, place);
  }

  void check_interval(std::string_view text, const std::string& place) {
    for (const std::string_view function : {"rate(", "irate(", "increase("}) {
      if (text.find(function) == std::string_view::npos) continue;
      if (text.find("[$__rate_interval]") != std::string_view::npos ||
          text.find("[$__range]") != std::string_view::npos) {
        continue;
      }
      finding(place + " has a rate over a fixed window instead of $__rate_interval");
      return;
    }
  }

  DashboardReport& report_;
  std::set<std::string> variables_;
  std::set<std::int64_t> ids_;
  std::vector<Area> areas_;
};

}  // namespace

std::string fill_variables(std::string_view expression) {
  std::string out;
  for (std::size_t at = 0; at < expression.size();) {
    std::string_view name;
    const std::size_t length = variable_at(expression, at, name);
    if (length == 0) {
      out += expression[at++];
      continue;
    }
    const std::size_t end = at + length;
    const char before = out.empty() ? ' ' : out.back();
    const char after = end < expression.size() ? expression[end] : ' ';
    if (const std::string_view value = builtin_value(name); !value.empty()) {
      out += value;
    } else if (before == '"' && after == '"') {
      // All of a matcher's value: ="$x" would match no series there is.
      if (out.ends_with("=\"") && !out.ends_with("!=\"")) {
        out.pop_back();
        out += "~\"";
      }
      out += ".+";
    } else {
      const bool is_text = std::count(out.begin(), out.end(), '"') % 2 == 1;
      out += is_text ? ".+" : "1";
    }
    at = end;
  }
  return out;
}

DashboardReport check_dashboard(std::string_view json) {
  DashboardReport report;
  const Result<JsonValue> root = parse_json(json);
  if (!root.ok()) {
    report.problems.push_back(root.status().message());
    return report;
  }
  Checker(report).run(*root);
  return report;
}

}  // namespace tarsier::server
