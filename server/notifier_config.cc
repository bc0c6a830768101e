#include "server/notifier_config.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "alerting/matcher_text.h"
#include "base/quote.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"
#include "server/glob.h"
#include "server/notifier_intervals.h"

namespace tarsier::server {
namespace {

using alerting::NotifierConfig;
using alerting::Route;

constexpr std::uint64_t kTemplateBytesMax = std::uint64_t{1} << 20;
constexpr int kRouteDepthMax = 40;

/// A list of matcher texts, each possibly several matchers in braces.
Status read_matchers(MapReader& map, std::string_view name, std::vector<tsdb::Matcher>& out) {
  const YamlNode* list = map.find_list(name);
  if (list == nullptr) return {};
  for (const YamlNode& item : list->items) {
    const std::string text = read_text(item, map.path_of(name), map.problems());
    Result<std::vector<tsdb::Matcher>> parsed = alerting::parse_alert_matchers(text);
    if (!parsed.ok()) return invalid_at(item, parsed.status().message());
    out.insert(out.end(), parsed->begin(), parsed->end());
  }
  return {};
}

/// The older form: a map of names and values or expressions.
Status read_match_map(MapReader& map, std::string_view name, tsdb::MatchOp op,
                      std::vector<tsdb::Matcher>& out) {
  const YamlNode* node = map.find(name);
  if (node == nullptr) return {};
  MapReader section(*node, map.path_of(name), map.problems());
  for (const YamlEntry& entry : node->entries) {
    std::string value;
    section.read(entry.first.text, value);
    if (op == tsdb::MatchOp::kRegex && entry.second.kind == YamlNode::Kind::kNull) {
      return invalid_at(entry.first,
                        fmt::format("invalid regexp value for {}", quote(entry.first.text)));
    }
    Result<tsdb::Matcher> matcher = tsdb::Matcher::create(op, entry.first.text, value);
    if (!matcher.ok()) return invalid_at(entry.second, matcher.status().message());
    out.push_back(std::move(*matcher));
  }
  section.finish();
  return {};
}

void sort_matchers(std::vector<tsdb::Matcher>& matchers) {
  std::stable_sort(matchers.begin(), matchers.end(), [](const auto& a, const auto& b) {
    if (a.name() != b.name()) return a.name() < b.name();
    if (a.value() != b.value()) return a.value() < b.value();
    return a.op() < b.op();
  });
}

/// Reads one section of the file after the other; later ones check names against earlier ones.
class NotifierReader final {
 public:
  NotifierReader(const ConfigSources& sources, Problems& problems)
      : sources_(sources), problems_(problems) {}

  Result<NotifierConfig> read(const YamlNode& node, const std::string& path) {
    MapReader top(node, path, problems_);
    TRY(read_global(top));
    for (const char* name : {"time_intervals", "mute_time_intervals"}) {
      TRY(read_time_intervals(top, name, sources_, config_.time_intervals));
    }
    TRY(read_receivers(top));
    TRY(read_inhibit_rules(top));
    TRY(read_templates(top));
    const YamlNode* route = top.find("route");
    top.ignore("tracing", "has no effect on notifications");
    top.finish();
    if (route == nullptr) return invalid_at(node, "no routes provided");
    config_.root = TRY(read_route(*route, top.path_of("route"), nullptr, 0));
    config_.shown = shown_notifier_yaml(node);
    return std::move(config_);
  }

 private:
  /// `name` or `name_file`, not both.
  Status read_global_text(MapReader& map, const std::string& name, TextOrFile& out) {
    map.read(name, out.text);
    map.read(name + "_file", out.file);
    if (!out.text.empty() && !out.file.empty()) {
      return invalid_at(map.node(),
                        fmt::format("at most one of {0} & {0}_file must be configured", name));
    }
    out.file = resolve_path(out.file, sources_);
    return {};
  }

  Status read_global(MapReader& top) {
    globals_.http.follow_redirects = false;
    const YamlNode* node = top.find("global");
    if (node == nullptr) return {};
    MapReader map(*node, top.path_of("global"), problems_);
    map.read("resolve_timeout", config_.resolve_timeout);
    map.read("pagerduty_url", globals_.pagerduty_url);
    TRY(read_global_text(map, "slack_api_url", globals_.slack_api_url));
    TRY(read_global_text(map, "slack_app_token", globals_.slack_app_token));
    map.read("slack_app_url", globals_.slack_app_url);
    if (globals_.slack_api_url.is_set() && globals_.slack_app_token.is_set()) {
      return invalid_at(*node, "at most one of slack_api_url & slack_app_token must be configured");
    }
    if (const YamlNode* http = map.find("http_config")) {
      MapReader section(*http, map.path_of("http_config"), problems_);
      globals_.http = TRY(read_http_client(section, sources_));
      section.finish();
    }
    // Defaults of receivers that are not supported say nothing as long as there are none.
    constexpr std::string_view kPrefixes[] = {"smtp_",      "opsgenie_",   "wechat_",
                                              "victorops_", "telegram_",   "webex_",
                                              "jira_",      "rocketchat_", "mattermost_"};
    for (const YamlEntry& entry : node->entries) {
      const std::string& key = entry.first.text;
      const bool is_other = std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                                        [&](std::string_view p) { return key.starts_with(p); });
      if (is_other) map.ignore(key, "has no effect: Tarsier tells webhooks, Slack and PagerDuty");
    }
    map.finish();
    return {};
  }

  Status read_receivers(MapReader& top) {
    const YamlNode* list = top.find_list("receivers");
    if (list == nullptr) return {};
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      alerting::ReceiverConfig receiver =
          TRY(read_receiver(list->items[i], fmt::format("{}[{}]", top.path_of("receivers"), i),
                            globals_, sources_, problems_));
      if (config_.receiver(receiver.name) != nullptr) {
        return invalid_at(list->items[i], fmt::format("notification config name {} is not unique",
                                                      quote(receiver.name)));
      }
      config_.receivers.push_back(std::move(receiver));
    }
    return {};
  }

  Status read_inhibit_rules(MapReader& top) {
    const YamlNode* list = top.find_list("inhibit_rules");
    if (list == nullptr) return {};
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      MapReader map(list->items[i], fmt::format("{}[{}]", top.path_of("inhibit_rules"), i),
                    problems_);
      alerting::InhibitRule rule;
      std::string name;
      map.read("name", name);
      TRY(read_match_map(map, "source_match", tsdb::MatchOp::kEqual, rule.source));
      TRY(read_match_map(map, "source_match_re", tsdb::MatchOp::kRegex, rule.source));
      TRY(read_matchers(map, "source_matchers", rule.source));
      TRY(read_match_map(map, "target_match", tsdb::MatchOp::kEqual, rule.target));
      TRY(read_match_map(map, "target_match_re", tsdb::MatchOp::kRegex, rule.target));
      TRY(read_matchers(map, "target_matchers", rule.target));
      map.read("equal", rule.equal);
      map.finish();
      config_.inhibit_rules.push_back(std::move(rule));
    }
    return {};
  }

  Status read_templates(MapReader& top) {
    std::vector<std::string> patterns;
    top.read("templates", patterns);
    for (const std::string& written : patterns) {
      if (sources_.files == nullptr) continue;
      for (const std::string& file :
           expand_glob(*sources_.files, resolve_path(written, sources_))) {
        const YamlNode& at = *top.find("templates");
        Result<std::string> text = read_file(*sources_.files, file, kTemplateBytesMax);
        if (!text.ok()) return invalid_at(at, text.status().message());
        config_.templates.emplace_back(file.substr(file.rfind('/') + 1), std::move(*text));
      }
    }
    return check_texts(top);
  }

  /// Every template of every receiver must parse with these definitions.
  Status check_texts(MapReader& top) {
    const auto problem = alerting::find_template_problem(config_);
    if (!problem) return {};
    const YamlNode& at = problem->receiver ? top.find("receivers")->items[*problem->receiver]
                                           : *top.find("templates");
    return invalid_at(at, problem->status.message());
  }

  Status read_group_by(MapReader& map, Route& route) {
    if (!map.has("group_by")) return {};
    const YamlNode& at = *map.find("group_by");
    route.group_by.clear();
    route.group_by_all = false;
    map.read("group_by", route.group_by);
    std::set<std::string> seen;
    for (const std::string& label : route.group_by) {
      if (!seen.insert(label).second) {
        return invalid_at(at, fmt::format("duplicated label {} in group_by", quote(label)));
      }
      if (label.empty()) return invalid_at(at, "invalid label name \"\" in group_by list");
    }
    if (!seen.contains("...")) return {};
    if (seen.size() > 1) {
      return invalid_at(at,
                        "cannot have wildcard group_by (`...`) and other labels at the same time");
    }
    route.group_by.clear();
    route.group_by_all = true;
    return {};
  }

  Status check_interval_names(MapReader& map, std::string_view name,
                              const std::vector<std::string>& names) {
    for (const std::string& one : names) {
      if (!config_.time_intervals.contains(one)) {
        return invalid_at(*map.find(name),
                          fmt::format("undefined time interval {} used in route", quote(one)));
      }
    }
    return {};
  }

  Result<Route> read_route(const YamlNode& node, const std::string& path, const Route* parent,
                           int depth) {
    if (depth > kRouteDepthMax) return invalid_at(node, "routes are nested too deeply");
    MapReader map(node, path, problems_);
    Route route;
    if (parent != nullptr) {
      route.receiver = parent->receiver;
      route.group_by = parent->group_by;
      route.group_by_all = parent->group_by_all;
      route.group_wait = parent->group_wait;
      route.group_interval = parent->group_interval;
      route.repeat_interval = parent->repeat_interval;
      route.route_labels = parent->route_labels;
    }
    map.read("receiver", route.receiver);
    map.read("continue", route.goes_on);
    map.read("group_wait", route.group_wait);
    map.read("group_interval", route.group_interval);
    map.read("repeat_interval", route.repeat_interval);
    map.read("mute_time_intervals", route.mute_time_intervals);
    map.read("active_time_intervals", route.active_time_intervals);
    for (auto& [name, value] : TRY(read_labels(map, "labels", ingest::NameValidation::kUtf8,
                                               [](const YamlNode& v) { return v.text; }))) {
      route.route_labels[name] = std::move(value);
    }
    TRY(read_group_by(map, route));
    TRY(read_match_map(map, "match", tsdb::MatchOp::kEqual, route.matchers));
    TRY(read_match_map(map, "match_re", tsdb::MatchOp::kRegex, route.matchers));
    TRY(read_matchers(map, "matchers", route.matchers));
    sort_matchers(route.matchers);
    const YamlNode* const children = map.find_list("routes");
    map.finish();  // A mistyped key is better told as one than as what is missing.
    if (parent == nullptr) TRY(check_root(node, route));
    if (config_.receiver(route.receiver) == nullptr) {
      return invalid_at(map.has("receiver") ? *map.find("receiver") : node,
                        fmt::format("undefined receiver {} used in route", quote(route.receiver)));
    }
    if (route.group_interval.ms == 0) return invalid_at(node, "group_interval cannot be zero");
    if (route.repeat_interval.ms == 0) return invalid_at(node, "repeat_interval cannot be zero");
    TRY(check_interval_names(map, "mute_time_intervals", route.mute_time_intervals));
    TRY(check_interval_names(map, "active_time_intervals", route.active_time_intervals));
    route.key =
        (parent == nullptr ? "" : parent->key + "/") + alerting::matchers_text(route.matchers);
    for (std::size_t i = 0; children != nullptr && i < children->items.size(); ++i) {
      route.children.push_back(TRY(read_route(
          children->items[i], fmt::format("{}.routes[{}]", path, i), &route, depth + 1)));
    }
    return route;
  }

  static Status check_root(const YamlNode& node, const Route& root) {
    if (root.receiver.empty()) {
      return invalid_at(node, "root route must specify a default receiver");
    }
    if (!root.matchers.empty()) return invalid_at(node, "root route must not have any matchers");
    if (!root.mute_time_intervals.empty()) {
      return invalid_at(node, "root route must not have any mute time intervals");
    }
    if (!root.active_time_intervals.empty()) {
      return invalid_at(node, "root route must not have any active time intervals");
    }
    return {};
  }

  const ConfigSources& sources_;
  Problems& problems_;
  NotifierGlobals globals_;
  NotifierConfig config_;
};

}  // namespace

Result<NotifierConfig> read_notifier(const YamlNode& node, const std::string& path,
                                     const ConfigSources& sources, Problems& problems) {
  return NotifierReader(sources, problems).read(node, path);
}

Result<NotifierConfig> parse_notifier_config(std::string_view text, const ConfigSources& sources) {
  const std::string prefix = fmt::format("parsing YAML file {}", sources.file);
  Result<YamlNode> root = parse_yaml(text);
  if (!root.ok()) return std::move(root).status().with_prefix(prefix + ": yaml");
  if (root->kind == YamlNode::Kind::kNull) return invalid(prefix + ": no route provided in config");
  const YamlNode* node = &*root;
  std::string path;
  for (const YamlEntry& entry : root->entries) {
    if (entry.first.text != "notifier") continue;
    node = &entry.second;
    path = "notifier";
  }
  Problems problems;
  Result<NotifierConfig> config = read_notifier(*node, path, sources, problems);
  if (!problems.empty()) return invalid(prefix + ": " + problems.to_string());
  if (!config.ok()) return std::move(config).status().with_prefix(prefix);
  return config;
}

Result<std::shared_ptr<const NotifierConfig>> read_notifier_section(MapReader& top,
                                                                    const ConfigSources& sources) {
  const YamlNode* section = top.find("notifier");
  std::string file;
  top.read("notifier_config_file", file);
  if (section != nullptr && !file.empty()) {
    return invalid_at(*section,
                      "at most one of notifier and notifier_config_file may be configured");
  }
  if (section != nullptr) {
    return std::make_shared<const NotifierConfig>(
        TRY(read_notifier(*section, "notifier", sources, top.problems())));
  }
  if (file.empty() || sources.files == nullptr) return std::shared_ptr<const NotifierConfig>();
  ConfigSources inner = sources;
  inner.file = resolve_path(file, sources);
  const Result<std::string> text = read_file(*sources.files, inner.file, kConfigBytesMax);
  if (!text.ok()) {
    return invalid_at(*top.find("notifier_config_file"), text.status().message());
  }
  return std::make_shared<const NotifierConfig>(TRY(parse_notifier_config(*text, inner)));
}

}  // namespace tarsier::server
