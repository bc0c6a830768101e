#include "server/slo_wiring.h"

#include <algorithm>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "base/api.h"
#include "query/parse.h"
#include "server/clock.h"
#include "server/flags.h"
#include "server/handlers.h"
#include "server/router.h"
#include "server/slo_file.h"
#include "server/slo_own_form.h"
#include "server/url.h"

namespace tarsier::server {
namespace {

/// How far back a timeline looks where nobody says.
constexpr Duration kTimelineBack = hours(3);
constexpr std::size_t kFollowedBatch = 50'000;
/// Of one timeline or backtest.
constexpr std::int64_t kStepsMax = 3'000'000;

tsdb::Labels external_labels_of(const GlobalConfig& global) {
  tsdb::LabelsBuilder builder;
  for (const auto& [name, value] : global.external_labels) builder.set(name, value);
  return builder.build();
}

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

}  // namespace

SloWiring::SloWiring(Doors doors) : doors_(std::move(doors)) {
  const alerting::SloOptions options{.resend_delay =
                                         doors_.flags.duration("rules.alert.resend-delay")};
  const std::string directory = join_path(doors_.flags.text("storage.tsdb.path"), "tarsier/slo");
  Result<std::unique_ptr<alerting::EventHistory>> history =
      alerting::EventHistory::open(doors_.files, directory, options.clock, doors_.log);
  if (history.ok()) {
    history_ = std::move(*history);
  } else {
    doors_.log.error("The history of counted events cannot be opened; objectives count anew",
                     {{"err", history.status().message()}});
  }
  runner_ = std::make_unique<alerting::SloRunner>(
      options,
      alerting::SloDoors{.engine = doors_.engine,
                         .storage = doors_.db,
                         .make_appender = [this] { return doors_.db.appender(); },
                         .monotonic_ns = monotonic_ns,
                         .log = doors_.log,
                         .sink = &doors_.rules.sink(),
                         .journal = doors_.rules.journal(),
                         .history = history_.get(),
                         .pull = [this](alerting::SloTaps& taps) { return pull(taps); },
                         .select =
                             [this](const std::vector<std::vector<tsdb::Matcher>>& selectors) {
                               follow(selectors);
                             }});
  scheduler_.add([this](Timestamp t) { return runner_->run_due(t); });
}

SloWiring::~SloWiring() { stop(); }

void SloWiring::stop() {
  if (std::exchange(is_stopped_, true)) return;
  runner_->stop();
  scheduler_.stop();
  follower_.reset();
}

void SloWiring::follow(const std::vector<std::vector<tsdb::Matcher>>& selectors) {
  follower_.reset();
  ids_.clear();
  segments_lost_ = 0;
  if (selectors.empty()) return;
  // From the log's end as it is now: what is before is counted from storage.
  Result<std::unique_ptr<tsdb::WalFollower>> opened =
      doors_.db.follow({.name = "slo", .selectors = selectors, .from = std::nullopt});
  if (opened.ok()) {
    follower_ = std::move(*opened);
  } else {
    doors_.log.error("Following samples for objectives failed",
                     {{"err", opened.status().message()}});
  }
}

Status SloWiring::pull(alerting::SloTaps& taps) {
  if (!follower_) return {};
  const Status status = read_follower(taps);
  if (const std::uint64_t lost = follower_->segments_lost(); lost > segments_lost_) {
    segments_lost_ = lost;
    doors_.log.warn("A part of the log was gone before it was read; objectives count it anew");
    runner_->recount_since(now() - days(1));
  }
  return status;
}

Status SloWiring::read_follower(alerting::SloTaps& taps) {
  while (true) {
    TRY(follower_->read(kFollowedBatch, batch_));
    if (batch_.empty()) return {};
    for (const tsdb::FollowedSeries& series : batch_.series) {
      ids_[series.ref.value] = taps.follow(series.labels);
    }
    for (const tsdb::FollowedSample& sample : batch_.samples) {
      const auto found = ids_.find(sample.ref.value);
      if (found != ids_.end() && found->second) taps.add(found->second, sample.t, sample.v);
    }
    for (const tsdb::FollowedHistogram& sample : batch_.histograms) {
      const auto found = ids_.find(sample.ref.value);
      if (found == ids_.end() || !found->second) continue;
      const auto* const whole = std::get_if<tsdb::IntegerHistogram>(&sample.histogram);
      taps.add_histogram(found->second, sample.t,
                         whole != nullptr ? tsdb::to_float(*whole)
                                          : std::get<tsdb::FloatHistogram>(sample.histogram));
    }
    for (const tsdb::SeriesRef ref : batch_.ended) ids_.erase(ref.value);
    follower_->release(batch_.end);
  }
}

void SloWiring::apply(const Config& config,
                      std::vector<std::shared_ptr<const alerting::Slo>> slos) {
  for (const std::shared_ptr<const alerting::Slo>& slo : slos) {
    for (const std::string& warning : slo->warnings()) {
      doors_.log.warn("Objective", {{"slo", slo->id()}, {"warning", warning}});
    }
  }
  if (alerting::AlertJournal* const journal = doors_.rules.journal()) {
    journal->mark(
        is_started_ ? alerting::AlertEventKind::kReloaded : alerting::AlertEventKind::kStarted,
        now());
  }
  is_started_ = true;
  auto shared =
      std::make_shared<std::vector<std::shared_ptr<const alerting::Slo>>>(std::move(slos));
  alerting::SloSettings settings{.external_labels = external_labels_of(config.global),
                                 .external_url = doors_.external_url};
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> is_done = done->get_future();
  scheduler_.post([this, shared, done, settings = std::move(settings)]() mutable {
    runner_->apply(std::move(*shared), std::move(settings), now());
    scheduler_.wake();
    done->set_value();
  });
  done.reset();    // A scheduler that has ended drops the task, and the wait ends with it.
  is_done.wait();  // Whoever asked for a reload finds it in force.
}

HttpResponse SloWiring::list(const HttpRequest& request) const {
  return alerting::slos_response(request, runner_->status());
}

HttpResponse SloWiring::show(const HttpRequest& /*request*/, const std::string& id) const {
  return alerting::slo_response(runner_->find(id), id);
}

HttpResponse SloWiring::file(const std::string& id) const {
  const std::shared_ptr<const alerting::SloStatus> found = runner_->find(id);
  if (!found) return api_error(ApiErrorType::kNotFound, "there is no objective " + id);
  const std::string text = slo_own_form(found->slo->definition());
  return api_success([&](JsonWriter& json) {
    json.begin_object().field("yaml", text.empty() ? "" : "slos:\n" + text).end_object();
  });
}

HttpResponse SloWiring::backtest(const HttpRequest& request, const std::string& id) const {
  const std::shared_ptr<const alerting::SloStatus> found = runner_->find(id);
  if (!found) return api_error(ApiErrorType::kNotFound, "there is no objective " + id);
  const alerting::StepClock clock;
  const Result<TimeRange> span =
      span_of(request, nominal_period(found->slo->definition().period), clock.length);
  if (!span.ok()) return api_error(span.status());
  return alerting::backtest_response(
      alerting::backtest_slo(doors_.db, doors_.engine, *found->slo, clock, span->min, span->max,
                             request.cancel.get()),
      alerting::forecast_tiers(*found->slo));
}

HttpResponse SloWiring::simulate(const HttpRequest& request) const {
  const alerting::StepClock clock;
  if (const auto text = request.parameter("slo"); text && !text->empty()) {
    Result<SloFileContents> contents = parse_slo_file(*text, "slo", doors_.files);
    if (!contents.ok()) return api_error(contents.status());
    if (contents->slos.size() != 1) {
      return api_error(invalid_parameter("slo", "exactly one objective is expected"));
    }
    const auto slo = alerting::Slo::compile(std::move(contents->slos[0]));
    if (!slo.ok()) return api_error(slo.status());
    const Result<TimeRange> span =
        span_of(request, nominal_period((*slo)->definition().period), clock.length);
    if (!span.ok()) return api_error(span.status());
    return alerting::backtest_response(
        alerting::backtest_slo(doors_.db, doors_.engine, **slo, clock, span->min, span->max,
                               request.cancel.get()),
        alerting::forecast_tiers(**slo));
  }
  const auto expression = request.parameter("expr");
  if (!expression || expression->empty()) {
    return api_error(invalid_parameter("slo", "give slo, a file's text, or expr, a rule's"));
  }
  const Result<std::optional<Duration>> hold = optional_duration(request, "for");
  if (!hold.ok()) return api_error(hold.status());
  const Result<std::optional<Duration>> interval = optional_duration(request, "interval");
  if (!interval.ok()) return api_error(interval.status());
  const Duration step = interval->value_or(minutes(1));
  if (step.ms <= 0) return api_error(invalid_parameter("interval", "must be positive"));
  const auto rule =
      alerting::Rule::compile({.alert = std::string(request.parameter("alert").value_or("Alert")),
                               .expression = std::string(*expression),
                               .hold = hold->value_or(Duration{0})},
                              {}, {});
  if (!rule.ok()) return api_error(rule.status());
  const Result<TimeRange> span = span_of(request, days(1), step);
  if (!span.ok()) return api_error(span.status());
  return alerting::backtest_response(
      alerting::backtest_rule(doors_.db, doors_.engine, **rule, step, span->min, span->max,
                              request.cancel.get()),
      {});
}

/// Messages say whose group they are about: an alert's are those of the groups it belongs to.
void SloWiring::add_notifications(alerting::AlertTimeline& timeline) const {
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
  std::reverse(timeline.notifications.begin(), timeline.notifications.end());
}

HttpResponse SloWiring::timeline(const HttpRequest& request, const std::string& id) const {
  const std::optional<alerting::Fingerprint> fingerprint = alerting::parse_fingerprint(id);
  if (!fingerprint) {
    return api_error(invalid_parameter("id", "not a fingerprint of 16 hex digits"));
  }
  const Result<TimeRange> span = span_of(request, kTimelineBack, seconds(1));
  if (!span.ok()) return api_error(span.status());
  alerting::AlertTimeline out{.id = *fingerprint, .start = span->min, .end = span->max};
  alerting::AlertJournal* const journal = doors_.rules.journal();
  if (journal != nullptr) {
    std::vector<alerting::AlertEvent> all = journal->history({.fingerprint = fingerprint});
    if (!all.empty()) {
      out.owner = all.front().owner;
      out.labels = all.front().labels;
    }
    std::erase_if(all, [&](const auto& event) { return !span->contains(event.at); });
    const std::vector<alerting::AlertEvent> process =
        journal->history({.begin = span->min, .end = span->max, .is_of_process = true});
    all.insert(all.end(), process.begin(), process.end());
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    out.events = std::move(all);
  }
  if (out.owner.starts_with("slo;")) {
    const std::shared_ptr<const alerting::SloStatus> slo = runner_->find(out.owner.substr(4));
    if (slo) {
      const Status status =
          alerting::explain_slo(doors_.db, doors_.engine, *slo->slo, {}, out, request.cancel.get());
      add_notifications(out);
      return status.ok() ? alerting::timeline_response(out) : api_error(status);
    }
  }
  for (const alerting::RuleGroupStatus& group : doors_.rules.rule_status()) {
    for (const alerting::RuleStatus& rule : group.rules) {
      if (!rule.rule->is_alerting()) continue;
      const std::string owner =
          fmt::format("rule;{};{};{};", group.file, group.name, rule.rule->identity());
      const auto active = std::find_if(
          rule.alerts.begin(), rule.alerts.end(),
          [&](const auto& alert) { return alerting::fingerprint_of(alert.labels) == fingerprint; });
      if (!out.owner.starts_with(owner) && active == rule.alerts.end()) continue;
      if (active != rule.alerts.end()) out.labels = active->labels;
      // Evaluations are at their own moments: those of the group's schedule.
      const std::int64_t offset =
          alerting::slot_offset_of(group.file, group.name, group.interval).ms;
      const std::int64_t interval = group.interval.ms;
      out.start = {(out.start.ms - offset + interval - 1) / interval * interval + offset};
      if (out.owner.empty()) out.owner = owner;
      const Status status = alerting::explain_rule(doors_.db, doors_.engine, *rule.rule,
                                                   group.interval, out, request.cancel.get());
      add_notifications(out);
      return status.ok() ? alerting::timeline_response(out) : api_error(status);
    }
  }
  if (out.owner.empty()) {
    return api_error(ApiErrorType::kNotFound, "nothing is known of an alert " + id);
  }
  out.cause = "what it came from is no longer configured";
  return alerting::timeline_response(out);
}

std::vector<alerting::AlertRecord> SloWiring::alerts() const {
  std::vector<alerting::AlertRecord> out;
  for (const std::shared_ptr<const alerting::SloStatus>& slo : runner_->status()) {
    out.insert(out.end(), slo->alerts.begin(), slo->alerts.end());
  }
  return out;
}

void SloWiring::collect(MetricWriter& out) const { runner_->collect(out); }

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
