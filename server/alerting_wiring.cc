#include "server/alerting_wiring.h"

#include <algorithm>
#include <future>
#include <iterator>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "alerting/alert_history_api.h"
#include "alerting/rule_api.h"
#include "server/agent_mode.h"
#include "server/clock.h"
#include "server/config_discovery.h"
#include "server/feature_flags.h"
#include "server/flags.h"
#include "server/rule_file.h"
#include "server/settings.h"
#include "server/url.h"
#include "server/version.h"

namespace tarsier::server {
namespace {

constexpr std::string_view kApiPath = "/api/v2/alerts";
constexpr std::size_t kRuleQueueMax = 100'000;

alerting::RuleSyntax rule_syntax(const Flags& flags, const GlobalConfig& global) {
  const query::EngineOptions engine = engine_options(flags, global);
  return {.expressions = {.experimental_functions = engine.experimental_functions,
                          .extended_range_selectors = engine.extended_range_selectors,
                          .fill_modifiers = engine.binary_fill_modifiers},
          .legacy_names = global.name_validation == ingest::NameValidation::kLegacy};
}

alerting::RuleOptions rule_options(const Flags& flags) {
  return {.restore = {.outage_tolerance = flags.duration("rules.alert.for-outage-tolerance"),
                      .grace_period = flags.duration("rules.alert.for-grace-period")},
          .resend_delay = flags.duration("rules.alert.resend-delay"),
          .concurrent_rules = has_feature(flags, "concurrent-rule-eval")};
}

alerting::AlertmanagerOptions sender_options(const Flags& flags) {
  return {.queue_capacity =
              std::max<std::size_t>(flags.number("alertmanager.notification-queue-capacity"), 1),
          .batch_size_max =
              std::max<std::size_t>(flags.number("alertmanager.notification-batch-size"), 1),
          .drains_on_stop = flags.is_on("alertmanager.drain-notification-queue-on-shutdown")};
}

tsdb::Labels external_labels(const GlobalConfig& global) {
  tsdb::LabelsBuilder builder;
  for (const auto& [name, value] : global.external_labels) builder.set(name, value);
  return builder.build();
}

/// "/", "am" and "/am/" with the path of the API behind it.
std::string path_below(std::string_view prefix) {
  while (prefix.starts_with('/')) prefix.remove_prefix(1);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return prefix.empty() ? std::string(kApiPath) : fmt::format("/{}{}", prefix, kApiPath);
}

std::string with_port(const std::string& address, const std::string& scheme) {
  const bool has_port = address.rfind(':') != std::string::npos && !address.ends_with(']');
  return has_port ? address : address + (scheme == "https" ? ":443" : ":80");
}

alerting::AlertRelabel relabel_by(const std::vector<ingest::RelabelRule>& rules) {
  if (rules.empty()) return {};
  return
      [rules](tsdb::LabelsBuilder& labels) { return ingest::apply_relabel_rules(rules, labels); };
}

void add_targets(const AlertmanagerConfig& config, const std::vector<ingest::TargetGroup>& groups,
                 alerting::AlertmanagerSettings& settings) {
  const auto url_of = [](const tsdb::LabelsBuilder& labels) {
    const std::string scheme(labels.get("__scheme__"));
    return fmt::format("{}://{}{}", scheme,
                       with_port(std::string(labels.get("__address__")), scheme),
                       labels.get("__alerts_path__"));
  };
  for (const ingest::TargetGroup& group : groups) {
    for (const std::string& address : group.targets) {
      tsdb::LabelsBuilder labels;
      for (const auto& [name, value] : group.labels) labels.set(name, value);
      labels.set("__address__", address);
      labels.set("__scheme__", config.scheme);
      labels.set("__alerts_path__", path_below(config.path_prefix));
      const std::string before = url_of(labels);
      if (!ingest::apply_relabel_rules(config.relabel_rules, labels) ||
          labels.get("__address__").empty()) {
        settings.dropped_urls.push_back(before);
        continue;
      }
      settings.targets.push_back({.url = url_of(labels),
                                  .timeout = config.timeout,
                                  .client = config.client,
                                  .relabel = relabel_by(config.alert_relabel_rules)});
    }
  }
}

}  // namespace

Result<std::vector<alerting::RuleGroup>> load_rules(const Flags& flags, FileSystem& files,
                                                    const Config& config) {
  const alerting::RuleSyntax syntax = rule_syntax(flags, config.global);
  std::vector<alerting::RuleGroup> out;
  for (alerting::RuleGroupDefinition& group :
       TRY(read_rule_files(files, config.rule_files, {.syntax = syntax}))) {
    out.push_back(TRY(alerting::compile_group(std::move(group), syntax)));
  }
  return out;
}

Result<std::string> external_url_text(const Flags& flags, const std::string& port) {
  const ExternalUrl url = TRY(external_url(flags, port));
  std::string path = url.prefix;
  if (const std::string& text = flags.text("web.external-url"); !text.empty()) {
    const Url parsed =
        TRY(parse_url(text.find("://") == std::string::npos ? "http://" + text : text));
    path = parsed.target.substr(0, parsed.target.find('?'));
  }
  std::string out = fmt::format("{}://{}{}", url.scheme, url.authority, path);
  while (out.ends_with('/')) out.pop_back();
  return out;
}

AlertingWiring::AlertingWiring(Doors doors) : doors_(std::move(doors)) {
  const std::string own = join_path(data_path(doors_.flags), "tarsier");
  Result<std::unique_ptr<alerting::AlertJournal>> journal = alerting::AlertJournal::open(
      doors_.files, join_path(own, "alerts"), doors_.log,
      {.age_max = doors_.flags.duration("rules.alert.history-retention")});
  if (journal.ok()) {
    journal_ = std::move(*journal);
  } else {
    doors_.log.error("The journal of alerts cannot be opened; a restart will not remember alerts",
                     {{"err", journal.status().message()}});
  }
  sender_ = std::make_unique<alerting::AlertmanagerSender>(
      sender_options(doors_.flags),
      alerting::AlertmanagerSender::Doors{.files = doors_.files,
                                          .directory = join_path(own, "alertmanager"),
                                          .client = doors_.client,
                                          .monotonic_ns = monotonic_ns,
                                          .log = doors_.log,
                                          .wake = [this] { scheduler_.wake(); }});
  std::vector<alerting::AlertSink*> sinks{sender_.get()};
  if (doors_.notifier != nullptr) {
    notifier_ = std::make_unique<alerting::LabellingSink>(*doors_.notifier, labelling_);
    sinks.push_back(notifier_.get());
  }
  sinks_ = std::make_unique<alerting::AlertFanOut>(std::move(sinks));
  pool_ = std::make_unique<ThreadPool>(ThreadPool::Options{
      .thread_count = std::max<std::size_t>(doors_.flags.number("rules.max-concurrent-evals"), 1),
      .queue_size_max = kRuleQueueMax});
  const Duration query_timeout = doors_.flags.duration("query.timeout");
  runner_ = std::make_unique<alerting::RuleRunner>(
      rule_options(doors_.flags),
      alerting::RuleDoors{.engine = doors_.engine,
                          .storage = doors_.storage,
                          .make_appender = [this] { return doors_.db.appender(); },
                          .monotonic_ns = monotonic_ns,
                          .log = doors_.log,
                          .sink = sinks_.get(),
                          .journal = journal_.get(),
                          .pool = pool_.get(),
                          .limit_time =
                              [this, query_timeout](const std::shared_ptr<CancelToken>& token) {
                                doors_.expire_at(token, now() + query_timeout);
                              },
                          .wake = [this] { scheduler_.wake(); }});
  discovery_ = std::make_unique<ingest::DiscoveryManager>(ingest::DiscoveryDoor{
      .client = doors_.client,
      .files = doors_.files,
      .dns = doors_.dns,
      .parse_yaml_targets = parse_yaml_targets,
      .watch_directories = [](const std::vector<std::string>&) {},  // The refresh interval rules.
      .wake = [this] { scheduler_.wake(); },
      .log = doors_.log,
      .user_agent = fmt::format("Tarsier/{}", version()),
      .yaml_to_json = yaml_to_json,
      .environment = environment_variable});
  scheduler_.add([this](Timestamp t) { return run_discovery(t); });
  scheduler_.add([this](Timestamp t) { return runner_->run_due(t); });
  scheduler_.add([this](Timestamp t) { return sender_->run_due(t); });
}

AlertingWiring::~AlertingWiring() { stop(); }

void AlertingWiring::apply(const Config& config, std::vector<alerting::RuleGroup> groups) {
  for (const alerting::RuleGroup& group : groups) {
    for (const std::shared_ptr<const alerting::Rule>& rule : group.rules) {
      for (const std::string& warning : rule->warnings()) {
        doors_.log.warn("Rule", {{"group", group.definition.key()}, {"warning", warning}});
      }
    }
  }
  alerting::RuleSettings settings{.evaluation_interval = config.global.evaluation_interval,
                                  .query_offset = config.global.rule_query_offset,
                                  .external_labels = external_labels(config.global),
                                  .external_url = doors_.external_url};
  // What is applied and what is due are for one thread.
  auto shared = std::make_shared<std::vector<alerting::RuleGroup>>(std::move(groups));
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> is_done = done->get_future();
  scheduler_.post([this, shared, done, settings = std::move(settings), global = config.global,
                   alerting_config = config.alerting]() mutable {
    global_ = std::move(global);
    alerting_config_ = std::move(alerting_config);
    std::vector<ingest::DiscoveryConfig> discoveries;
    for (const AlertmanagerConfig& one : alerting_config_.alertmanagers) {
      discoveries.insert(discoveries.end(), one.discoveries.begin(), one.discoveries.end());
    }
    discovery_->apply(discoveries);
    apply_targets();
    runner_->apply(std::move(*shared), std::move(settings), now());
    scheduler_.wake();
    done->set_value();
  });
  done.reset();    // A scheduler that has ended drops the task, and the wait ends with it.
  is_done.wait();  // Whoever asked for a reload finds it in force.
}

Timestamp AlertingWiring::run_discovery(Timestamp t) {
  const Timestamp next = discovery_->run_due(t);
  std::uint64_t version = 0;
  for (const AlertmanagerConfig& one : alerting_config_.alertmanagers) {
    for (const ingest::DiscoveryConfig& config : one.discoveries) {
      version += discovery_->groups_of(config).version();
    }
  }
  if (version != discovered_version_) apply_targets();
  return next;
}

void AlertingWiring::apply_targets() {
  const alerting::AlertLabelling labelling{
      .external_labels = external_labels(global_),
      .relabel = relabel_by(alerting_config_.alert_relabel_rules)};
  labelling_.apply(labelling);
  alerting::AlertmanagerSettings settings{
      .labelling = labelling, .targets = {}, .dropped_urls = {}};
  discovered_version_ = 0;
  for (const AlertmanagerConfig& one : alerting_config_.alertmanagers) {
    std::vector<ingest::TargetGroup> groups = one.static_configs;
    for (const ingest::DiscoveryConfig& config : one.discoveries) {
      const ingest::GroupTable& table = discovery_->groups_of(config);
      discovered_version_ += table.version();
      const std::vector<ingest::TargetGroup> found = table.all();
      groups.insert(groups.end(), found.begin(), found.end());
    }
    add_targets(one, groups, settings);
  }
  sender_->apply(std::move(settings));
}

void AlertingWiring::stop() {
  if (std::exchange(is_stopped_, true)) return;
  scheduler_.stop();
  runner_->stop();
  sender_->stop(now());
  pool_.reset();
}

std::vector<alerting::RuleGroupStatus> AlertingWiring::shown() const {
  std::vector<alerting::RuleGroupStatus> out = runner_->status();
  if (!others_) return out;
  std::vector<alerting::RuleGroupStatus> more = others_();
  std::move(more.begin(), more.end(), std::back_inserter(out));
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.file, a.name) < std::tie(b.file, b.name);
  });
  return out;
}

HttpResponse AlertingWiring::alerts() const {
  return alerting::alerts_response(shown(), *labelling());
}

HttpResponse AlertingWiring::rules(const HttpRequest& request) const {
  return alerting::rules_response(request, shown(), *labelling());
}

HttpResponse AlertingWiring::alertmanagers() const {
  return alerting::alertmanagers_response(sender_->active_urls(), sender_->dropped_urls());
}

HttpResponse AlertingWiring::history(const HttpRequest& request) const {
  return alerting::alert_history_response(
      request, labelling(),
      [&](const alerting::AlertEventFilter& filter) -> std::vector<alerting::AlertEvent> {
        if (!journal_) return {};
        return journal_->history(filter);
      });
}

void AlertingWiring::collect(MetricWriter& out) const {
  const Timestamp t = now();
  runner_->collect(out, t);
  sender_->collect(out, t);
  if (journal_) journal_->collect(out);
}

}  // namespace tarsier::server
