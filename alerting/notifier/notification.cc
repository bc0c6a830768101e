#include "alerting/notifier/notification.h"

#include <algorithm>
#include <array>
#include <map>

#include "alerting/template/executor.h"
#include "alerting/template/parser.h"

namespace tarsier::alerting {
namespace {

using Arguments = std::span<const Value>;

// Label sets with methods -------------------------------------------------------------------------

const ValueType kPairType{.name = "template.Pair", .methods = {}};

Result<Value> pair_column(const Value& self, std::string_view column) {
  std::vector<std::string> out;
  for (const Value& pair : self.as_list()) out.push_back(pair.field(column)->as_string());
  return Value::string_list(out);
}
Result<Value> pair_names(const Value& self, Arguments) { return pair_column(self, "Name"); }
Result<Value> pair_values(const Value& self, Arguments) { return pair_column(self, "Value"); }
Result<Value> pair_text(const Value& self, Arguments) {
  std::string out;
  for (const Value& pair : self.as_list()) {
    if (!out.empty()) out += ", ";
    out += pair.field("Name")->as_string() + "=" + pair.field("Value")->as_string();
  }
  return Value(std::move(out));
}
constexpr std::array kPairMethods{ValueMethod{"Names", 0, pair_names},
                                  ValueMethod{"Values", 0, pair_values},
                                  ValueMethod{"String", 0, pair_text}};
const ValueType kPairsType{.name = "template.Pairs", .methods = kPairMethods};

/// By name, `alertname` first.
Result<Value> sorted_pairs(const Value& self, Arguments) {
  ValueList out;
  const auto add = [&](const std::string& name, const Value& value) {
    out.push_back(Value::structure({{"Name", Value(name)}, {"Value", value}}, &kPairType));
  };
  const auto alert_name = self.as_map().find("alertname");
  if (alert_name != self.as_map().end()) add(alert_name->first, alert_name->second);
  for (const auto& [name, value] : self.as_map()) {
    if (name != "alertname") add(name, value);
  }
  return Value::list(std::move(out), &kPairsType);
}

Result<Value> set_names(const Value& self, Arguments a) {
  return pair_names(TRY(sorted_pairs(self, a)), a);
}
Result<Value> set_values(const Value& self, Arguments a) {
  return pair_values(TRY(sorted_pairs(self, a)), a);
}
Result<Value> set_text(const Value& self, Arguments a) {
  return pair_text(TRY(sorted_pairs(self, a)), a);
}
Result<Value> set_without(const Value& self, Arguments arguments);

constexpr std::array kSetMethods{
    ValueMethod{"SortedPairs", 0, sorted_pairs}, ValueMethod{"Names", 0, set_names},
    ValueMethod{"Values", 0, set_values}, ValueMethod{"String", 0, set_text},
    ValueMethod{"Remove", 1, set_without}};
const ValueType kSetType{.name = "template.KV", .missing_is_empty = true, .methods = kSetMethods};

Result<Value> set_without(const Value& self, Arguments arguments) {
  if (arguments[0].kind() != ValueKind::kList) {
    return invalid("wrong type for value; expected []string; got " +
                   std::string(arguments[0].type_name()));
  }
  ValueMap left = self.as_map();
  for (const Value& name : arguments[0].as_list()) {
    if (name.kind() == ValueKind::kString) left.erase(name.as_string());
  }
  return Value::map(std::move(left), &kSetType);
}

Value label_set(const tsdb::Labels& labels) {
  ValueMap map;
  for (const tsdb::LabelView label : labels) {
    map.emplace(std::string(label.name), Value(label.value));
  }
  return Value::map(std::move(map), &kSetType);
}
Value annotation_set(const Annotations& annotations) {
  ValueMap map;
  for (const auto& [name, value] : annotations) map.emplace(name, Value(value));
  return Value::map(std::move(map), &kSetType);
}

// Alerts ------------------------------------------------------------------------------------------

const ValueType kAlertType{.name = "template.Alert", .methods = {}};

Result<Value> alerts_with(const Value& self, std::string_view status);
Result<Value> firing_alerts(const Value& self, Arguments) { return alerts_with(self, "firing"); }
Result<Value> resolved_alerts(const Value& self, Arguments) {
  return alerts_with(self, "resolved");
}
constexpr std::array kAlertsMethods{ValueMethod{"Firing", 0, firing_alerts},
                                    ValueMethod{"Resolved", 0, resolved_alerts}};
const ValueType kAlertsType{.name = "template.Alerts", .methods = kAlertsMethods};

Result<Value> alerts_with(const Value& self, std::string_view status) {
  ValueList out;
  for (const Value& alert : self.as_list()) {
    if (alert.field("Status")->as_string() == status) out.push_back(alert);
  }
  return Value::list(std::move(out), &kAlertsType);
}

Value alert_value(const NotifiedAlert& notified) {
  const Alert& alert = notified.alert;
  const GoTime zero{kGoZeroSeconds, 0, 0, "UTC"};
  ValueFields fields;
  fields.emplace_back("Status", Value(notified.is_resolved ? "resolved" : "firing"));
  fields.emplace_back("Labels", label_set(alert.labels));
  fields.emplace_back("Annotations", annotation_set(alert.annotations));
  fields.emplace_back("StartsAt", Value(go_time(alert.starts_at)));
  fields.emplace_back("EndsAt", Value(notified.is_resolved ? go_time(alert.ends_at) : zero));
  fields.emplace_back("GeneratorURL", Value(alert.generator_url));
  fields.emplace_back("Fingerprint", Value(alert.fingerprint().to_string()));
  return Value::structure(std::move(fields), &kAlertType);
}

const ValueType kDataType{.name = "*template.Data", .is_pointer = true, .methods = {}};

// What comes with Tarsier -------------------------------------------------------------------------

// The names and what they print are Alertmanager's, so that templates built on them work.
constexpr std::string_view kDefaults = R"({{ define "__alertmanager" }}Alertmanager{{ end -}}
{{ define "__alertmanagerURL" }}{{ .ExternalURL }}/#/alerts?receiver={{ urlquery .Receiver }}{{ end -}}
{{ define "__subject" -}}
[{{ toUpper .Status }}{{ if eq .Status "firing" }}:{{ len .Alerts.Firing }}{{ end }}] {{ join " " .GroupLabels.SortedPairs.Values }} {{ if gt (len .CommonLabels) (len .GroupLabels) }}({{ join " " (.CommonLabels.Remove .GroupLabels.Names).Values }}){{ end }}
{{- end -}}
{{ define "__text_alert_list" }}{{ range . }}Labels:
{{ range .Labels.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}Annotations:
{{ range .Annotations.SortedPairs }} - {{ .Name }} = {{ .Value }}
{{ end }}Source: {{ .GeneratorURL }}
{{ end }}{{ end -}}
{{ define "slack.default.title" }}{{ template "__subject" . }}{{ end -}}
{{ define "slack.default.username" }}{{ template "__alertmanager" . }}{{ end -}}
{{ define "slack.default.fallback" }}{{ template "slack.default.title" . }} | {{ template "slack.default.titlelink" . }}{{ end -}}
{{ define "slack.default.titlelink" }}{{ template "__alertmanagerURL" . }}{{ end -}}
{{ define "slack.default.callbackid" }}{{ end -}}
{{ define "slack.default.pretext" }}{{ end -}}
{{ define "slack.default.iconemoji" }}{{ end -}}
{{ define "slack.default.iconurl" }}{{ end -}}
{{ define "slack.default.text" }}{{ end -}}
{{ define "slack.default.footer" }}{{ end -}}
{{ define "pagerduty.default.description" }}{{ template "__subject" . }}{{ end -}}
{{ define "pagerduty.default.client" }}{{ template "__alertmanager" . }}{{ end -}}
{{ define "pagerduty.default.clientURL" }}{{ template "__alertmanagerURL" . }}{{ end -}}
{{ define "pagerduty.default.instances" }}{{ template "__text_alert_list" . }}{{ end -}}
)";

bool is_function(std::string_view name) { return notification_functions().contains(name); }

}  // namespace

bool Notification::is_firing() const {
  return std::any_of(alerts.begin(), alerts.end(),
                     [](const NotifiedAlert& alert) { return !alert.is_resolved; });
}

tsdb::Labels common_labels(const std::vector<NotifiedAlert>& alerts) {
  if (alerts.empty()) return {};
  std::vector<tsdb::LabelView> common;
  for (const tsdb::LabelView label : alerts[0].alert.labels) {
    const bool everywhere =
        std::all_of(alerts.begin(), alerts.end(), [&](const NotifiedAlert& other) {
          return other.alert.labels.get(label.name) == label.value;
        });
    if (everywhere) common.push_back(label);
  }
  return tsdb::Labels::from_views(std::move(common));
}

Annotations common_annotations(const std::vector<NotifiedAlert>& alerts) {
  if (alerts.empty()) return {};
  Annotations common = alerts[0].alert.annotations;
  for (const NotifiedAlert& other : alerts) {
    std::erase_if(common, [&](const auto& annotation) {
      return std::find(other.alert.annotations.begin(), other.alert.annotations.end(),
                       annotation) == other.alert.annotations.end();
    });
  }
  return common;
}

void sort_alerts(std::vector<NotifiedAlert>& alerts) {
  std::sort(alerts.begin(), alerts.end(), [](const NotifiedAlert& a, const NotifiedAlert& b) {
    for (const std::string_view name : {"job", "instance"}) {
      const std::string_view x = a.alert.labels.get(name);
      const std::string_view y = b.alert.labels.get(name);
      if (x != y) return x < y;
    }
    return a.alert.labels < b.alert.labels;
  });
}

std::string shown_end(const NotifiedAlert& alert) {
  if (!alert.is_resolved) return "0001-01-01T00:00:00Z";
  return go_rfc3339_nano(go_time(alert.alert.ends_at));
}

Value notification_value(const Notification& n) {
  ValueList alerts;
  for (const NotifiedAlert& alert : n.alerts) alerts.push_back(alert_value(alert));
  ValueFields fields;
  fields.emplace_back("Receiver", Value(n.receiver));
  fields.emplace_back("Status", Value(n.is_firing() ? "firing" : "resolved"));
  fields.emplace_back("Alerts", Value::list(std::move(alerts), &kAlertsType));
  fields.emplace_back("NotificationReason", Value(n.reason));
  fields.emplace_back("GroupLabels", label_set(n.group_labels));
  fields.emplace_back("CommonLabels", label_set(common_labels(n.alerts)));
  fields.emplace_back("CommonAnnotations", annotation_set(common_annotations(n.alerts)));
  fields.emplace_back("RouteLabels", label_set(n.route_labels));
  fields.emplace_back("ExternalURL", Value(n.external_url));
  return Value::structure(std::move(fields), &kDataType);
}

Result<NotificationTemplates> NotificationTemplates::create(
    const std::vector<std::pair<std::string, std::string>>& files) {
  NotificationTemplates templates;
  TRY(parse_template("default", kDefaults, is_function, templates.trees_));
  for (const auto& [name, text] : files) {
    TRY(parse_template(name, text, is_function, templates.trees_));
  }
  return templates;
}

Status NotificationTemplates::check(std::string_view text) const {
  TemplateTrees trees = trees_;
  return parse_template("", text, is_function, trees);
}

Result<std::string> NotificationTemplates::expand(std::string_view text, const Value& data,
                                                  const Notification& notification) const {
  return expand(text, data, notification, [&](const std::string& name) -> Result<std::string> {
    return std::string(notification.route_labels.get(name));
  });
}

Result<std::string> NotificationTemplates::expand(std::string_view text, const Value& data,
                                                  const Notification& notification,
                                                  RouteLabel route_label) const {
  if (text.find("{{") == std::string_view::npos) return std::string(text);
  TemplateTrees trees = trees_;
  trees.erase("");
  TRY(parse_template("", text, is_function, trees));
  FunctionContext context{
      notification.at, notification.external_url, {}, {}, std::move(route_label)};
  Executor executor(trees, notification_functions(), std::move(context), {});
  return executor.run("", data);
}

}  // namespace tarsier::alerting
