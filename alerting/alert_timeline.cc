#include "alerting/alert_timeline.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "alerting/slo_alerts.h"
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

void note_held(std::vector<TimelineTick>& ticks) {
  const TimelineTick* first = nullptr;  // Of the run that the tick belongs to.
  for (TimelineTick& tick : ticks) {
    if (!tick.is_active) {
      first = nullptr;
      continue;
    }
    if (first == nullptr) first = &tick;
    tick.held = tick.at - first->at;
  }
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
      json.begin_object()
          .field("at", format_rfc3339(tick.at))
          .field("active", tick.is_active)
          .field("heldSeconds", static_cast<double>(tick.held.ms) / 1000);
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
  const SloAlertTexts texts(slo);
  AlertUnit unit;
  BacktestTrace trace{.group = group, .unit = 0, .moments = {}};
  for (std::size_t i = 0; i < slo.alert_units().size(); ++i) {
    const AlertUnit& one = slo.alert_units()[i];
    const bool is_it = texts.labels(slo, one, group) == timeline.labels;
    if (i > 0 && !is_it) continue;
    unit = one;
    trace.unit = i;
    if (is_it) break;
  }
  timeline.query =
      slo.ratio_query(slo.tiers().empty() ? minutes(5) : slo.tiers()[unit.begin].long_window);
  const Result<BacktestResult> replay =
      backtest_slo(storage, engine, slo, clock, timeline.start, timeline.end, cancel, &trace);
  TRY(replay.status());
  for (BacktestTrace::Moment& moment : trace.moments) {
    TimelineTick tick{.at = moment.at, .values = {}, .is_active = moment.is_active};
    for (std::size_t i = unit.begin; i < unit.end; ++i) {
      const BurnTier& tier = slo.tiers()[i];
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
  note_held(timeline.ticks);
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
    if (timeline.labels.empty()) return true;  // The rule is meant, not one of its alerts.
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
  note_held(timeline.ticks);
  timeline.cause = rule_cause(rule, timeline.ticks, interval);
  return {};
}

}  // namespace tarsier::alerting
