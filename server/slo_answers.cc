// What the API answers about objectives and alerts.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "alerting/alert_timeline.h"
#include "base/api.h"
#include "base/json_writer.h"
#include "query/parse.h"
#include "server/handlers.h"
#include "server/router.h"
#include "server/slo_file.h"
#include "server/slo_own_form.h"
#include "server/slo_wiring.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

/// How far back a timeline looks where nobody says.
constexpr Duration kTimelineBack = hours(3);
/// Of one timeline or backtest.
constexpr std::int64_t kStepsMax = 3'000'000;

/// What stands in the raw path behind `before`, decoded.
std::string segment_behind(const HttpRequest& request, std::string_view before) {
  const std::string_view rest = std::string_view(request.raw_path).substr(before.size());
  const std::string_view segment = rest.substr(0, rest.find('/'));
  return percent_decode(segment).value_or(std::string(segment));
}

Result<TimeRange> span_of(const HttpRequest& request, Duration back, Duration step) {
  const Timestamp end = TRY(optional_time(request, "end", request.received));
  const Timestamp start = TRY(optional_time(request, "start", end - back));
  if (end < start) return invalid_parameter("end", "end timestamp must not be before start time");
  if ((end - start).ms / step.ms > kStepsMax) {
    return invalid_parameter("start", "too many evaluations lie between start and end");
  }
  return TimeRange{.min = start, .max = end};
}

/// The first moment from `t` on at which the group is evaluated.
Timestamp next_evaluation(const alerting::RuleGroupStatus& group, Timestamp t) {
  const std::int64_t offset = alerting::slot_offset_of(group.file, group.name, group.interval).ms;
  const std::int64_t interval = group.interval.ms;
  return {(t.ms - offset + interval - 1) / interval * interval + offset};
}

using Backtests = std::vector<alerting::NamedBacktest>;

/// A rule that is not configured.
Result<std::shared_ptr<const alerting::Rule>> rule_of(const HttpRequest& request) {
  const std::optional<Duration> hold = TRY(optional_duration(request, "for"));
  const std::optional<Duration> keep = TRY(optional_duration(request, "keep_firing_for"));
  return alerting::Rule::compile(
      {.alert = std::string(request.parameter("alert").value_or("Alert")),
       .expression = std::string(request.parameter("expr").value_or("")),
       .hold = hold.value_or(Duration{0}),
       .keep_firing_for = keep.value_or(Duration{0})},
      {}, {});
}

}  // namespace

std::vector<std::string> SloWiring::indicators() const {
  std::vector<std::string> out;
  for (const std::shared_ptr<const alerting::SloStatus>& one : runner_->status()) {
    out.push_back(one->slo->ratio_query(minutes(5)));
  }
  return out;
}

HttpResponse SloWiring::file(const std::string& id) const {
  const std::shared_ptr<const alerting::SloStatus> found = runner_->find(id);
  if (!found) return api_error(ApiErrorType::kNotFound, "there is no objective " + id);
  std::vector<std::string> notes;
  const Result<std::string> text = own_form(*found->slo, notes);
  return api_success([&](JsonWriter& json) {
    json.begin_object().field("yaml", text.ok() ? "slos:\n" + *text : "").end_object();
  });
}

Result<alerting::NamedBacktest> SloWiring::backtest_of(const HttpRequest& request,
                                                       const alerting::Slo& slo) const {
  const alerting::StepClock clock;
  const TimeRange span =
      TRY(span_of(request, nominal_period(slo.definition().period), clock.length));
  return alerting::NamedBacktest{
      .id = slo.id(),
      .result = TRY(alerting::backtest_slo(doors_.db, doors_.engine, slo, clock, span.min, span.max,
                                           request.cancel.get())),
      .forecast = alerting::forecast_tiers(slo)};
}

HttpResponse SloWiring::backtest(const HttpRequest& request, const std::string& id) const {
  const std::shared_ptr<const alerting::SloStatus> found = runner_->find(id);
  if (!found) return api_error(ApiErrorType::kNotFound, "there is no objective " + id);
  Result<alerting::NamedBacktest> one = backtest_of(request, *found->slo);
  if (!one.ok()) return api_error(one.status());
  Backtests all;
  all.push_back(std::move(*one));
  return alerting::backtests_response(std::move(all));
}

Result<Backtests> SloWiring::simulate_file(const HttpRequest& request,
                                           std::string_view text) const {
  SloFileContents contents = TRY(parse_slo_file(text, "slo", doors_.files));
  const auto slos = TRY(compile_slos(std::move(contents)));
  const std::string_view id = request.parameter("id").value_or("");
  Backtests out;
  for (const std::shared_ptr<const alerting::Slo>& slo : slos) {
    if (!id.empty() && slo->id() != id) continue;
    out.push_back(TRY(backtest_of(request, *slo)));
  }
  if (out.empty()) {
    return invalid_parameter("slo", id.empty() ? std::string("there is no objective in it")
                                               : fmt::format("there is no objective {} in it", id));
  }
  return out;
}

Result<Backtests> SloWiring::replay_rules(const HttpRequest& request, std::string_view name) const {
  Backtests out;
  for (const alerting::RuleGroupStatus& group : doors_.rules.rule_status()) {
    for (const alerting::RuleStatus& rule : group.rules) {
      if (!rule.rule->is_alerting() || rule.rule->name() != name) continue;
      const TimeRange span = TRY(span_of(request, days(1), group.interval));
      out.push_back({.id = fmt::format("{};{};{}", group.file, group.name, name),
                     .result = TRY(alerting::backtest_rule(
                         doors_.db, doors_.engine, *rule.rule, group.interval,
                         next_evaluation(group, span.min), span.max, request.cancel.get())),
                     .forecast = {}});
    }
  }
  if (out.empty()) return not_found(fmt::format("there is no alerting rule {}", name));
  return out;
}

Result<Backtests> SloWiring::simulate_rule(const HttpRequest& request) const {
  const Duration step = TRY(optional_duration(request, "interval")).value_or(minutes(1));
  if (step.ms <= 0) return invalid_parameter("interval", "must be positive");
  const std::shared_ptr<const alerting::Rule> rule = TRY(rule_of(request));
  const TimeRange span = TRY(span_of(request, days(1), step));
  Backtests out;
  out.push_back({.id = rule->name(),
                 .result = TRY(alerting::backtest_rule(doors_.db, doors_.engine, *rule, step,
                                                       span.min, span.max, request.cancel.get())),
                 .forecast = {}});
  return out;
}

HttpResponse SloWiring::simulate(const HttpRequest& request) const {
  const auto given = [&](std::string_view name) {
    return request.parameter(name).value_or(std::string_view());
  };
  if (!given("slo").empty()) {
    return alerting::backtests_response(simulate_file(request, given("slo")));
  }
  if (!given("rule").empty()) {
    return alerting::backtests_response(replay_rules(request, given("rule")));
  }
  if (!given("expr").empty()) return alerting::backtests_response(simulate_rule(request));
  return api_error(invalid_parameter(
      "slo", "give slo, a file's text, or rule, a configured one's name, or expr, a new one's"));
}

/// What Alertmanagers answered, and messages of the built-in notifier: these say whose group they
/// are about, and an alert's are those of the groups it belongs to.
void SloWiring::add_notifications(alerting::AlertTimeline& timeline) const {
  for (const alerting::SentOutcome& one :
       doors_.rules.sent_outcomes(alerting::fingerprint_of(timeline.labels))) {
    if (one.last_at < timeline.start || one.at > timeline.end) continue;
    timeline.notifications.push_back(
        {.at = one.at,
         .receiver = one.url,
         .state = one.problem.empty() ? "delivered"
                  : one.is_retried    ? "queued"
                                      : "dead",
         .outcome = fmt::format(
             "{}: {}, {} times", one.is_resolved ? "resolved" : "firing",
             one.problem.empty() ? fmt::format("HTTP {}", one.status) : one.problem, one.count)});
  }
  const auto sort = [&] {
    std::stable_sort(timeline.notifications.begin(), timeline.notifications.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
  };
  sort();
  if (!doors_.notifications) return;
  using State = alerting::NotificationStatus::State;
  for (const alerting::NotificationStatus& one : doors_.notifications()) {
    if (one.created_at < timeline.start || one.created_at > timeline.end) continue;
    const std::size_t colon = one.group_key.rfind(":{");
    if (colon == std::string::npos) continue;
    const std::string labels = one.group_key.substr(colon + 1);
    if (labels != "{}") {
      const Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(labels);
      if (!matchers.ok()) continue;
      const bool is_ours =
          std::all_of(matchers->begin(), matchers->end(), [&](const tsdb::Matcher& matcher) {
            return matcher.matches(timeline.labels.get(matcher.name()));
          });
      if (!is_ours) continue;
    }
    timeline.notifications.push_back(
        {.at = one.created_at,
         .receiver = one.integration,
         .state = one.state == State::kQueued      ? "queued"
                  : one.state == State::kDelivered ? "delivered"
                                                   : "dead",
         .outcome = one.error.empty()
                        ? fmt::format("HTTP {} after {} attempts", one.status, one.attempt_count)
                        : one.error});
  }
  sort();
}

alerting::AlertTimeline SloWiring::remembered(alerting::Fingerprint id, TimeRange span) const {
  alerting::AlertTimeline out{.id = id, .start = span.min, .end = span.max};
  const alerting::AlertJournal* const journal = doors_.rules.journal();
  if (journal == nullptr) return out;
  const std::shared_ptr<const alerting::AlertLabelling> labelling = doors_.rules.labelling();
  std::vector<alerting::AlertEvent> all = journal->history({.id = id, .labelling = labelling});
  if (!all.empty()) {
    out.owner = all.front().owner;
    out.labels = all.front().labels;
    out.id = alerting::alert_id(out.labels, *labelling);
  }
  std::erase_if(all, [&](const auto& event) { return !span.contains(event.at); });
  const std::vector<alerting::AlertEvent> process =
      journal->history({.begin = span.min, .end = span.max, .is_of_process = true});
  all.insert(all.end(), process.begin(), process.end());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  out.events = std::move(all);
  return out;
}

std::optional<tsdb::Labels> SloWiring::labels_of_slo_alert(std::string_view id,
                                                           std::string& owner) const {
  const std::optional<alerting::Fingerprint> wanted = alerting::parse_fingerprint(id);
  const std::shared_ptr<const alerting::AlertLabelling> labelling = doors_.rules.labelling();
  const auto look_at = [&](const alerting::SloStatus& status) -> std::optional<tsdb::Labels> {
    const alerting::SloAlertTexts texts(*status.slo);
    for (const alerting::SloGroupStatus& group : status.groups) {
      for (const alerting::AlertUnit& unit : status.slo->alert_units()) {
        tsdb::Labels labels = texts.labels(*status.slo, unit, group.group);
        if (wanted && !alerting::has_alert_id(labels, *labelling, *wanted)) continue;
        owner = "slo;" + status.slo->id();
        return labels;
      }
    }
    return std::nullopt;
  };
  // Its page, where only the objective is named.
  if (const auto named = runner_->find(id)) return look_at(*named);
  if (!wanted) return std::nullopt;
  for (const std::shared_ptr<const alerting::SloStatus>& status : runner_->status()) {
    if (std::optional<tsdb::Labels> labels = look_at(*status)) return labels;
  }
  return std::nullopt;
}

HttpResponse SloWiring::explained_rule(const HttpRequest& request, alerting::AlertTimeline& out,
                                       std::string_view id) const {
  const std::shared_ptr<const alerting::AlertLabelling> labelling = doors_.rules.labelling();
  for (const alerting::RuleGroupStatus& group : doors_.rules.rule_status()) {
    for (const alerting::RuleStatus& rule : group.rules) {
      if (!rule.rule->is_alerting()) continue;
      const std::string owner =
          fmt::format("rule;{};{};{};", group.file, group.name, rule.rule->identity());
      const auto active =
          std::find_if(rule.alerts.begin(), rule.alerts.end(), [&](const auto& alert) {
            return alerting::has_alert_id(alert.labels, *labelling, out.id);
          });
      const bool is_named = out.owner.empty() && rule.rule->name() == id;
      if (!out.owner.starts_with(owner) && active == rule.alerts.end() && !is_named) continue;
      if (active != rule.alerts.end()) {
        out.labels = active->labels;
        out.id = alerting::alert_id(out.labels, *labelling);
      } else if (is_named && !rule.alerts.empty()) {  // The first of its alerts.
        const tsdb::Labels& labels = rule.alerts.front().labels;
        out =
            remembered(alerting::alert_id(labels, *labelling), {.min = out.start, .max = out.end});
        out.labels = labels;
      }
      // Evaluations are at their own moments: those of the group's schedule.
      out.start = next_evaluation(group, out.start);
      if (out.owner.empty()) out.owner = owner;
      const Status status = alerting::explain_rule(doors_.db, doors_.engine, *rule.rule,
                                                   group.interval, out, request.cancel.get());
      add_notifications(out);
      return status.ok() ? alerting::timeline_response(out) : api_error(status);
    }
  }
  if (out.owner.empty()) {
    return api_error(ApiErrorType::kNotFound, fmt::format("nothing is known of an alert {}", id));
  }
  out.cause = "what it came from is no longer configured";
  add_notifications(out);
  return alerting::timeline_response(out);
}

HttpResponse SloWiring::timeline(const HttpRequest& request, const std::string& id) const {
  const Result<TimeRange> span = span_of(request, kTimelineBack, seconds(1));
  if (!span.ok()) return api_error(span.status());
  std::string owner;
  std::optional<tsdb::Labels> labels;
  std::optional<alerting::Fingerprint> fingerprint = alerting::parse_fingerprint(id);
  alerting::AlertTimeline out = remembered(fingerprint.value_or(alerting::Fingerprint()), *span);
  if (out.owner.empty()) labels = labels_of_slo_alert(id, owner);
  if (labels) {  // An alert that never fired, or an objective.
    out = remembered(alerting::alert_id(*labels, *doors_.rules.labelling()), *span);
    out.owner = owner;
    out.labels = std::move(*labels);
  }
  if (!out.owner.starts_with("slo;")) return explained_rule(request, out, id);
  const std::shared_ptr<const alerting::SloStatus> slo = runner_->find(out.owner.substr(4));
  if (!slo) {
    out.cause = "what it came from is no longer configured";
    add_notifications(out);
    return alerting::timeline_response(out);
  }
  const Status status =
      alerting::explain_slo(doors_.db, doors_.engine, *slo->slo, {}, out, request.cancel.get());
  add_notifications(out);
  return status.ok() ? alerting::timeline_response(out) : api_error(status);
}

void add_slo_routes(Router& router, const struct Doors& doors,
                    std::function<const SloWiring*()> wiring) {
  const std::string slos = "/api/tarsier/v1/slos/";
  router.add({.path = "/api/tarsier/v1/slos",
              .handler = pooled_handler(
                  doors, [wiring](const HttpRequest& r) { return wiring()->list(r); })});
  router.add({.path = slos + "*", .handler = pooled_handler(doors, [=](const HttpRequest& r) {
                                    return wiring()->show(r, segment_behind(r, slos));
                                  })});
  router.add({.path = slos + "*/file", .handler = pooled_handler(doors, [=](const HttpRequest& r) {
                                         return wiring()->file(segment_behind(r, slos));
                                       })});
  router.add({.path = slos + "*/backtest",
              .handler = query_handler(doors, [=](const HttpRequest& r, double) {
                return wiring()->backtest(r, segment_behind(r, slos));
              })});
  router.add({.path = "/api/tarsier/v1/backtest",
              .methods = {"GET", "POST"},
              .handler = query_handler(doors, [wiring](const HttpRequest& r, double) {
                return wiring()->simulate(r);
              })});
  const std::string alerts = "/api/tarsier/v1/alerts/";
  router.add({.path = alerts + "*/timeline",
              .handler = query_handler(doors, [=](const HttpRequest& r, double) {
                return wiring()->timeline(r, segment_behind(r, alerts));
              })});
}

}  // namespace tarsier::server
