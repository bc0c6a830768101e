#include "server/slo_wiring.h"

#include <algorithm>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "alerting/slo_duplicates.h"
#include "server/clock.h"
#include "server/flags.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kFollowedBatch = 50'000;
/// How many traces of a service are kept at least while its page, or only its ticket, fires.
constexpr double kPagedTraces = 1;
constexpr double kTicketedTraces = 0.1;

tsdb::Labels external_labels_of(const GlobalConfig& global) {
  tsdb::LabelsBuilder builder;
  for (const auto& [name, value] : global.external_labels) builder.set(name, value);
  return builder.build();
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
  scheduler_.add([this](Timestamp t) {
    const Timestamp next = runner_->run_due(t);
    carry_burning();
    return next;
  });
}

void SloWiring::carry_burning() {
  if (!doors_.boost) return;
  std::vector<std::pair<std::string, alerting::Severity>> burning = runner_->burning_services();
  if (burning == burning_) return;
  std::vector<std::pair<std::string, double>> probabilities;
  for (const auto& [service, severity] : burning) {
    const double probability =
        severity == alerting::Severity::kPage ? kPagedTraces : kTicketedTraces;
    probabilities.emplace_back(service, probability);
    doors_.log.info("Traces of a service that burns its objective are kept",
                    {{"service", service}, {"percent", fmt::format("{}", 100 * probability)}});
  }
  doors_.boost(std::move(probabilities));
  burning_ = std::move(burning);
}

std::vector<alerting::RuleGroupStatus> SloWiring::rule_groups() const {
  return rules_.groups(runner_->status());
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
    taps.take(batch_);
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
  for (const alerting::SloDuplicate& one :
       alerting::duplicates_of(slos, doors_.rules.rule_status())) {
    doors_.log.warn("Objective", {{"slo", one.id}, {"warning", one.warning}});
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
    carry_burning();
    scheduler_.wake();
    done->set_value();
  });
  done.reset();    // A scheduler that has ended drops the task, and the wait ends with it.
  is_done.wait();  // Whoever asked for a reload finds it in force.
}

HttpResponse SloWiring::list(const HttpRequest& request) const {
  return alerting::slos_response(request, runner_->status(), *doors_.rules.labelling());
}

HttpResponse SloWiring::show(const HttpRequest& /*request*/, const std::string& id) const {
  return alerting::slo_response(runner_->find(id), id, *doors_.rules.labelling());
}

void SloWiring::collect(MetricWriter& out) const { runner_->collect(out); }

}  // namespace tarsier::server
