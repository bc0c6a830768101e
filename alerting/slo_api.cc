#include "alerting/slo_api.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/api.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/number_text.h"
#include "base/rfc3339.h"
#include "query/expression.h"

namespace tarsier::alerting {
namespace {

void write_labels(JsonWriter& json, const tsdb::Labels& labels) {
  json.begin_object();
  for (const tsdb::LabelView& label : labels) json.key(label.name).value(label.value);
  json.end_object();
}
void write_texts(JsonWriter& json, const std::vector<std::string>& texts) {
  json.begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void write_window(JsonWriter& json, const Slo& slo, const std::string& name,
                  const WindowValue& value, bool has_counts) {
  json.begin_object().field("window", name);
  if (has_counts) {
    json.field("badEvents", value.events.bad).field("totalEvents", value.events.total);
  }
  json.field("errorRatio", value.ratio)
      .field("burnRate", value.ratio / slo.budget())
      .field("coverage", value.coverage)
      .end_object();
}

void write_tier(JsonWriter& json, const Slo& slo, const BurnTier& tier) {
  json.field("severity", severity_name(tier.severity))
      .field("long", format_duration(tier.long_window))
      .field("short", format_duration(tier.short_window))
      .field("factor", tier.factor)
      .field("for", format_duration(tier.hold))
      .field("threshold", tier.factor * slo.budget());
}

void write_group(JsonWriter& json, const Slo& slo, const SloGroupStatus& group) {
  const BurnReading& reading = group.reading;
  json.begin_object().key("group");
  write_labels(json, group.group);
  json.field("state", slo_state_name(group.verdicts.state)).field("at", format_rfc3339(reading.t));
  if (reading.has_counts) {
    json.field("eventsTotal", group.cumulative.total).field("badEventsTotal", group.cumulative.bad);
  }
  if (reading.last_sample) json.field("lastSample", format_rfc3339(*reading.last_sample));
  json.key("windows").begin_array();
  for (std::size_t i = 0; i < std::min(slo.windows().size(), reading.windows.size()); ++i) {
    write_window(json, slo, format_duration(slo.windows()[i]), reading.windows[i],
                 reading.has_counts);
  }
  json.end_array().key("period");
  write_window(json, slo, period_text(slo.definition().period), reading.period, reading.has_counts);
  const double remaining = budget_remaining(slo, reading.period);
  json.field("budgetRemaining", remaining);
  const auto hour = std::find(slo.windows().begin(), slo.windows().end(), hours(1));
  const std::size_t index =
      hour == slo.windows().end() ? 0 : static_cast<std::size_t>(hour - slo.windows().begin());
  const std::optional<Duration> left =
      index < reading.windows.size()
          ? time_to_exhaustion(reading.windows[index].ratio / slo.budget(), remaining,
                               nominal_period(slo.definition().period))
          : std::nullopt;
  if (left) {
    json.field("timeToExhaustion", format_duration(*left));
  } else {
    json.key("timeToExhaustion").null();
  }
  json.key("tiers").begin_array();
  for (std::size_t i = 0; i < std::min(slo.tiers().size(), group.tiers.size()); ++i) {
    json.begin_object();
    write_tier(json, slo, slo.tiers()[i]);
    json.field("status", tier_status_name(group.tiers[i].status))
        .field("longRatio", group.tiers[i].long_ratio)
        .field("shortRatio", group.tiers[i].short_ratio)
        .end_object();
  }
  json.end_array().key("causes").begin_object();
  if (group.tiers.size() == slo.tiers().size() && reading.windows.size() == slo.windows().size()) {
    for (const Severity severity : {Severity::kPage, Severity::kTicket}) {
      const bool has = std::any_of(slo.tiers().begin(), slo.tiers().end(),
                                   [&](const BurnTier& t) { return t.severity == severity; });
      if (!has) continue;
      json.field(severity_name(severity),
                 cause_text(slo, severity, reading, group.tiers, group.verdicts.of(severity)));
    }
  }
  json.end_object().end_object();
}

void write_slo(JsonWriter& json, const SloStatus& status) {
  const Slo& slo = *status.slo;
  const SloDefinition& definition = slo.definition();
  json.field("id", slo.id())
      .field("name", definition.name)
      .field("service", definition.service)
      .field("description", definition.description)
      .field("file", definition.file)
      .field("format", slo_format_name(definition.format))
      .field("definition", slo.counting() == SloCounting::kEvents ? "events" : "promql")
      .field("objective", definition.objective_percent)
      .field("period", period_text(definition.period))
      .field("ready", status.is_ready)
      .field("lastError", status.last_error);
  json.key("labels").begin_object();
  for (const auto& [name, value] : definition.labels) json.field(name, value);
  json.end_object().key("warnings");
  write_texts(json, slo.warnings());
  json.key("groups").begin_array();
  for (const SloGroupStatus& group : status.groups) write_group(json, slo, group);
  json.end_array().key("alerts").begin_array();
  for (const AlertRecord& alert : status.alerts) {
    json.begin_object()
        .field("id", fingerprint_of(alert.labels).to_string())
        .field("state", alert_state_name(alert.state))
        .field("activeAt", format_rfc3339(alert.active_at))
        .field("value", alert.value)
        .key("labels");
    write_labels(json, alert.labels);
    json.key("annotations").begin_object();
    for (const auto& [name, value] : alert.annotations) json.field(name, value);
    json.end_object().end_object();
  }
  json.end_array();
}

void write_forecast(JsonWriter& json, const TierForecast& forecast) {
  json.begin_object()
      .field("severity", severity_name(forecast.tier.severity))
      .field("long", format_duration(forecast.tier.long_window))
      .field("short", format_duration(forecast.tier.short_window))
      .field("factor", forecast.tier.factor)
      .field("threshold", forecast.threshold)
      .field("reachable", forecast.is_reachable)
      .field("budgetShare", forecast.budget_share);
  json.key("cases").begin_array();
  const auto time = [&](const char* name, const std::optional<Duration>& value) {
    json.key(name);
    if (value) {
      json.value(static_cast<double>(value->ms) / 1000);
    } else {
      json.null();
    }
  };
  for (const TierForecast::Case& one : forecast.cases) {
    json.begin_object().field("errorRatio", one.error_ratio);
    time("detectionSeconds", one.detection);
    time("resetSeconds", one.reset);
    json.end_object();
  }
  json.end_array().end_object();
}

/// The comparison an alerting rule is, if it is one with a number.
struct Comparison {
  std::string left;
  double threshold = 0;
};
std::optional<Comparison> comparison_of(const std::string& text) {
  const Result<query::ExprPtr> parsed = query::parse_expression(text);
  if (!parsed.ok()) return std::nullopt;
  const query::Expr& e = query::without_parens(**parsed);
  if (e.kind != query::ExprKind::kBinary) return std::nullopt;
  const auto& binary = query::as<query::Binary>(e);
  if (!query::is_comparison(binary.op)) return std::nullopt;
  const query::Expr& right = query::without_parens(*binary.right);
  if (right.kind == query::ExprKind::kNumber) {
    return Comparison{.left = query::canonical_text(*binary.left),
                      .threshold = query::as<query::Number>(right).value};
  }
  if (right.kind == query::ExprKind::kUnary) {
    const auto& sign = query::as<query::Unary>(right);
    const query::Expr& operand = query::without_parens(*sign.operand);
    if (operand.kind != query::ExprKind::kNumber) return std::nullopt;
    const double value = query::as<query::Number>(operand).value;
    return Comparison{.left = query::canonical_text(*binary.left),
                      .threshold = sign.op == query::UnaryOp::kMinus ? -value : value};
  }
  return std::nullopt;
}

}  // namespace

HttpResponse slos_response(const HttpRequest& request,
                           const std::vector<std::shared_ptr<const SloStatus>>& all) {
  const std::optional<std::string_view> service = request.parameter("service");
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("slos").begin_array();
    for (const std::shared_ptr<const SloStatus>& slo : all) {
      if (service && !service->empty() && slo->slo->definition().service != *service) continue;
      json.begin_object();
      write_slo(json, *slo);
      json.end_object();
    }
    json.end_array().end_object();
  });
}

HttpResponse slo_response(const std::shared_ptr<const SloStatus>& slo, std::string_view id) {
  if (!slo) {
    return api_error(ApiErrorType::kNotFound, "there is no objective " + std::string(id));
  }
  return api_success([&](JsonWriter& json) {
    json.begin_object();
    write_slo(json, *slo);
    json.key("forecast").begin_array();
    for (const TierForecast& forecast : forecast_tiers(*slo->slo)) write_forecast(json, forecast);
    json.end_array().end_object();
  });
}

HttpResponse backtest_response(const Result<BacktestResult>& result,
                               const std::vector<TierForecast>& forecast) {
  if (!result.ok()) return api_error(result.status());
  return api_success([&](JsonWriter& json) {
    json.begin_object()
        .field("start", format_rfc3339(result->start))
        .field("end", format_rfc3339(result->end))
        .field("evaluations", result->steps)
        .field("samplesRead", result->samples_read);
    json.key("warnings");
    write_texts(json, result->warnings);
    json.key("alerts").begin_array();
    for (const BacktestAlert& alert : result->alerts) {
      json.begin_object()
          .field("severity", alert.severity)
          .field("firedAt", format_rfc3339(alert.fired_at))
          .key("endedAt");
      if (alert.ended_at) {
        json.value(format_rfc3339(*alert.ended_at));
        json.field("reason", resolve_reason_text(alert.reason));
      } else {
        json.null();
      }
      json.field("tier", alert.tier)
          .field("cause", alert.cause)
          .field("budgetConsumed", alert.budget_consumed)
          .field("inhibited", alert.is_inhibited)
          .key("labels");
      write_labels(json, alert.labels);
      json.end_object();
    }
    json.end_array().key("budgets").begin_array();
    for (const BacktestBudget& budget : result->budgets) {
      json.begin_object().key("group");
      write_labels(json, budget.group);
      json.field("badEvents", budget.period.bad)
          .field("totalEvents", budget.period.total)
          .field("consumed", budget.consumed)
          .field("coverage", budget.coverage)
          .end_object();
    }
    json.end_array().key("forecast").begin_array();
    for (const TierForecast& one : forecast) write_forecast(json, one);
    json.end_array().end_object();
  });
}

HttpResponse timeline_response(const AlertTimeline& timeline) {
  return api_success([&](JsonWriter& json) {
    json.begin_object().field("id", timeline.id.to_string()).key("labels");
    write_labels(json, timeline.labels);
    json.field("owner", timeline.owner)
        .field("query", timeline.query)
        .field("for", format_duration(timeline.hold))
        .field("start", format_rfc3339(timeline.start))
        .field("end", format_rfc3339(timeline.end))
        .field("cause", timeline.cause);
    json.key("ticks").begin_array();
    for (const TimelineTick& tick : timeline.ticks) {
      json.begin_object().field("at", format_rfc3339(tick.at)).field("active", tick.is_active);
      json.key("values").begin_array();
      for (const TimelineTick::Value& value : tick.values) {
        json.begin_object().field("name", value.name).field("value", value.value);
        if (value.threshold) json.field("threshold", *value.threshold);
        json.end_object();
      }
      json.end_array().end_object();
    }
    json.end_array().key("events").begin_array();
    for (const AlertEvent& event : timeline.events) {
      json.begin_object()
          .field("at", format_rfc3339_ms(event.at))
          .field("event", alert_event_name(event.kind));
      if (event.reason != ResolveReason::kNone) {
        json.field("reason", resolve_reason_text(event.reason));
      }
      json.end_object();
    }
    json.end_array().key("notifications").begin_array();
    for (const TimelineNotification& one : timeline.notifications) {
      json.begin_object()
          .field("at", format_rfc3339_ms(one.at))
          .field("receiver", one.receiver)
          .field("state", one.state)
          .field("outcome", one.outcome)
          .end_object();
    }
    json.end_array().end_object();
  });
}

Status explain_slo(tsdb::Queryable& storage, const query::Engine& engine, const Slo& slo,
                   StepClock clock, AlertTimeline& timeline, const CancelToken* cancel) {
  const tsdb::Labels group = timeline.labels.keep(slo.group_by());
  const std::string_view name = timeline.labels.get(
      slo.definition().format == SloFormat::kSloth ? "sloth_severity" : "severity");
  const Severity severity =
      name == "ticket" || name == "warning" ? Severity::kTicket : Severity::kPage;
  timeline.query = slo.ratio_query(slo.tiers().empty() ? minutes(5) : slo.tiers()[0].long_window);
  BacktestTrace trace{.group = group, .severity = severity, .moments = {}};
  const Result<BacktestResult> replay =
      backtest_slo(storage, engine, slo, clock, timeline.start, timeline.end, cancel, &trace);
  TRY(replay.status());
  for (BacktestTrace::Moment& moment : trace.moments) {
    TimelineTick tick{.at = moment.at, .values = {}, .is_active = moment.is_active};
    for (std::size_t i = 0; i < slo.tiers().size(); ++i) {
      const BurnTier& tier = slo.tiers()[i];
      if (tier.severity != severity) continue;
      const TierValue& value = moment.tiers[i];
      tick.values.push_back({.name = format_duration(tier.long_window),
                             .value = value.long_ratio,
                             .threshold = value.threshold});
      if (tier.short_window == tier.long_window) continue;
      tick.values.push_back({.name = format_duration(tier.short_window),
                             .value = value.short_ratio,
                             .threshold = value.threshold});
    }
    timeline.ticks.push_back(std::move(tick));
    timeline.cause = std::move(moment.cause);
  }
  if (trace.moments.empty()) timeline.cause = "there is no data of this group in this time";
  return {};
}

std::string rule_cause(const Rule& rule, const std::vector<TimelineTick>& ticks,
                       Duration interval) {
  if (ticks.empty()) return "there was no evaluation in this time";
  const TimelineTick& last = ticks.back();
  std::size_t run = 0;
  while (run < ticks.size() && ticks[ticks.size() - 1 - run].is_active) ++run;
  const Duration held{run == 0 ? 0 : static_cast<std::int64_t>(run - 1) * interval.ms};
  const Duration hold = rule.definition().hold;
  std::string values;
  for (const TimelineTick::Value& value : last.values) {
    values += fmt::format("{}{} is {}", values.empty() ? "" : ", ", value.name,
                          short_number(value.value));
    if (value.threshold) values += fmt::format(" against {}", short_number(*value.threshold));
  }
  if (values.empty()) values = "the expression gives nothing for it";
  if (!last.is_active) return fmt::format("it does not fire: {}", values);
  if (held < hold) {
    return fmt::format("it does not fire yet: {}, for {} of {}", values, format_duration(held),
                       format_duration(hold));
  }
  return fmt::format("it fires: {}, for {} or longer{}", values, format_duration(held),
                     hold.ms > 0 ? fmt::format(" ({} are needed)", format_duration(hold)) : "");
}

Status explain_rule(tsdb::Queryable& storage, const query::Engine& engine, const Rule& rule,
                    Duration interval, AlertTimeline& timeline, const CancelToken* cancel) {
  timeline.query = rule.query();
  timeline.hold = rule.definition().hold;
  const std::optional<Comparison> comparison = comparison_of(rule.query());
  const auto ask = [&](const std::string& text) -> Result<query::QueryResult> {
    const query::PreparedQuery prepared = TRY(engine.prepare(
        {.text = text, .start = timeline.start, .end = timeline.end, .step = interval}));
    return engine.run(storage, prepared, cancel);
  };
  const query::QueryResult truth = TRY(ask(rule.query()));
  std::map<std::int64_t, TimelineTick> ticks;
  for (Timestamp t = timeline.start; t <= timeline.end; t = t + interval) ticks[t.ms].at = t;
  // The series an alert comes from has all of its labels that the rule does not set itself.
  const auto is_ours = [&](const tsdb::Labels& series) {
    for (const tsdb::LabelView& label : series) {
      if (label.name == tsdb::kMetricName) continue;
      const std::string_view own = timeline.labels.get(label.name);
      const bool is_set = std::any_of(rule.labels().begin(), rule.labels().end(),
                                      [&](const auto& one) { return one.first == label.name; });
      if (!is_set && own != label.value) return false;
    }
    return true;
  };
  for (const query::MatrixSeries& series : truth.matrix) {
    if (!is_ours(series.labels)) continue;
    for (const std::int64_t t : series.points.times_ms) ticks[t].is_active = true;
  }
  const query::QueryResult values = comparison ? TRY(ask(comparison->left)) : truth;
  for (const query::MatrixSeries& series : values.matrix) {
    if (!is_ours(series.labels)) continue;
    for (std::size_t n = 0; n < series.points.size(); ++n) {
      ticks[series.points.times_ms[n]].values.push_back(
          {.name = series.labels.to_string(),
           .value = series.points.values[n],
           .threshold = comparison ? std::optional(comparison->threshold) : std::nullopt});
    }
  }
  for (auto& [t, tick] : ticks) {
    tick.at = {t};
    timeline.ticks.push_back(std::move(tick));
  }
  timeline.cause = rule_cause(rule, timeline.ticks, interval);
  return {};
}

}  // namespace tarsier::alerting
