#include "alerting/slo_api.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/api.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/number_text.h"
#include "base/rfc3339.h"

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
      const AlertUnit all = slo.tiers_of(severity);
      if (all.begin == all.end) continue;
      json.field(severity_name(severity),
                 cause_text(slo, all, reading, group.tiers, group.verdicts.of(severity)));
    }
  }
  json.end_object().end_object();
}

void write_slo(JsonWriter& json, const SloStatus& status, const AlertLabelling& labelling) {
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
        .field("id", alert_id(alert.labels, labelling).to_string())
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

void write_backtest(JsonWriter& json, const NamedBacktest& backtest) {
  const BacktestResult& result = backtest.result;
  json.begin_object()
      .field("id", backtest.id)
      .field("start", format_rfc3339(result.start))
      .field("end", format_rfc3339(result.end))
      .field("evaluations", result.steps)
      .field("samplesRead", result.samples_read);
  json.key("warnings");
  write_texts(json, result.warnings);
  json.key("alerts").begin_array();
  for (const BacktestAlert& alert : result.alerts) {
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
  for (const BacktestBudget& budget : result.budgets) {
    json.begin_object().key("group");
    write_labels(json, budget.group);
    json.field("badEvents", budget.period.bad)
        .field("totalEvents", budget.period.total)
        .field("consumed", budget.consumed)
        .field("coverage", budget.coverage)
        .end_object();
  }
  json.end_array().key("forecast").begin_array();
  for (const TierForecast& one : backtest.forecast) write_forecast(json, one);
  json.end_array().end_object();
}

}  // namespace

HttpResponse slos_response(const HttpRequest& request,
                           const std::vector<std::shared_ptr<const SloStatus>>& all,
                           const AlertLabelling& labelling) {
  const std::optional<std::string_view> service = request.parameter("service");
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("slos").begin_array();
    for (const std::shared_ptr<const SloStatus>& slo : all) {
      if (service && !service->empty() && slo->slo->definition().service != *service) continue;
      json.begin_object();
      write_slo(json, *slo, labelling);
      json.end_object();
    }
    json.end_array().end_object();
  });
}

HttpResponse slo_response(const std::shared_ptr<const SloStatus>& slo, std::string_view id,
                          const AlertLabelling& labelling) {
  if (!slo) {
    return api_error(ApiErrorType::kNotFound, "there is no objective " + std::string(id));
  }
  return api_success([&](JsonWriter& json) {
    json.begin_object();
    write_slo(json, *slo, labelling);
    json.key("forecast").begin_array();
    for (const TierForecast& forecast : forecast_tiers(*slo->slo)) write_forecast(json, forecast);
    json.end_array().end_object();
  });
}

HttpResponse backtests_response(const Result<std::vector<NamedBacktest>>& all) {
  if (!all.ok()) return api_error(all.status());
  return api_success([&](JsonWriter& json) {
    if (all->size() == 1) return write_backtest(json, all->front());
    json.begin_object().key("backtests").begin_array();
    for (const NamedBacktest& one : *all) write_backtest(json, one);
    json.end_array().end_object();
  });
}

}  // namespace tarsier::alerting
