#include "alerting/notifier.h"

#include <algorithm>
#include <utility>

#include "alerting/notifier/attempt.h"
#include "alerting/notifier/change_turns.h"
#include "alerting/notifier/core.h"
#include "alerting/notifier/log.h"
#include "alerting/notifier/notification.h"
#include "base/mutex.h"

namespace tarsier::alerting {
namespace {

/// Ends of attempts, from the client's threads to run_due(). Outlives the notifier as long as an
/// attempt is under way.
struct Mailbox {
  Mutex mutex;
  std::vector<Completion> completions GUARDED_BY(mutex);
  std::function<void()> wake GUARDED_BY(mutex);  // Empty once the notifier has ended.
};

void post(const std::shared_ptr<Mailbox>& mailbox, Completion completion) {
  std::function<void()> wake;
  {
    MutexLock lock(mailbox->mutex);
    mailbox->completions.push_back(std::move(completion));
    wake = mailbox->wake;
  }
  if (wake) wake();
}

}  // namespace

struct Notifier::Impl {
  Impl(NotifierDoor d, NotifierOptions o, NotifierLog::Opened opened)
      : door(std::move(d)),
        options(std::move(o)),
        log(std::move(opened.log)),
        core(options, std::move(opened.state)) {
    MutexLock lock(mailbox->mutex);
    mailbox->wake = door.wake;
  }

  /// Makes a change and waits until it is on disk, perhaps with changes of others.
  Status change(std::function<Status(NotifierCore&, Changes&)> plan);
  /// REQUIRES: the turn.
  Status write(const std::string& payload);
  void compact_if_due() NO_THREAD_SAFETY_ANALYSIS;
  Status take_alerts(const std::vector<Alert>& alerts, Timestamp now);
  std::vector<Completion> take_completions();
  void start(const Attempt& attempt, Timestamp now);
  /// Decides and sends what is due, and says when it is to be called again. False: attempts have
  /// ended meanwhile. REQUIRES: the turn.
  bool step(Timestamp now, Timestamp& next);

  const NotifierDoor door;
  const NotifierOptions options;
  const std::shared_ptr<Mailbox> mailbox = std::make_shared<Mailbox>();
  mutable NotifierMetrics metrics;
  ChangeTurns turns;
  // Of whoever has the turn.
  std::unique_ptr<NotifierLog> log;
  bool failure_told = false;
  /// Memory work only: readers take it alone, and only who has the turn changes anything.
  mutable Mutex mutex;
  mutable NotifierCore core GUARDED_BY(mutex);
};

/// Plans wishes, in the order they came. REQUIRES: the turn and the core's mutex.
void plan(const std::vector<Wish*>& wishes, NotifierCore& core, Changes& changes) {
  for (Wish* wish : wishes) wish->outcome = wish->plan(core, changes);
}

/// A refusal says more than the disk does.
void finish(const std::vector<Wish*>& wishes, const Status& written, ChangeTurns& turns) {
  for (Wish* wish : wishes) {
    if (wish->outcome.ok()) wish->outcome = written;
  }
  turns.done(wishes);
}

Status Notifier::Impl::change(std::function<Status(NotifierCore&, Changes&)> planned) {
  Wish wish{.plan = std::move(planned), .outcome = {}};
  if (!turns.take_turn(wish)) return wish.outcome;
  const std::vector<Wish*> wishes = turns.take_wishes();
  std::string payload;
  {
    MutexLock lock(mutex);
    Changes changes(core.state);
    plan(wishes, core, changes);
    payload = changes.take_payload();
  }
  finish(wishes, write(payload), turns);
  turns.end_turn();
  return wish.outcome;
}
Status Notifier::Impl::write(const std::string& payload) {
  const Status status = log->commit(payload);
  if (!status.ok() && !failure_told) {
    failure_told = true;
    metrics.log_failures.add();
    door.log.error("Notifications are no longer stored; they go on from memory",
                   {{"err", status.message()}});
  }
  return status;
}

// Readers may read while we do, and nobody writes: it is our turn.
void Notifier::Impl::compact_if_due() {
  if (!log->wants_compaction()) return;
  const Status status = log->compact(core.state);
  if (!status.ok()) door.log.error("Notifier log", {{"err", status.message()}});
}

std::vector<Completion> Notifier::Impl::take_completions() {
  MutexLock lock(mailbox->mutex);
  return std::exchange(mailbox->completions, {});
}

void Notifier::Impl::start(const Attempt& attempt, Timestamp now) {
  Result<HttpFetch> request =
      make_request(door.files, attempt.message, *attempt.integration, options.attempt_timeout, now);
  if (!request.ok()) {
    post(mailbox, {attempt.message.id, std::move(request).status(), 0});
    return;
  }
  const std::int64_t begin_ns = door.monotonic_ns();
  door.client.fetch(std::move(*request), [box = mailbox, id = attempt.message.id, begin_ns,
                                          clock = door.monotonic_ns](Result<HttpResponse> answer) {
    const double took = static_cast<double>(clock() - begin_ns) / 1e9;
    post(box, {id, std::move(answer), took});
  });
}

Status Notifier::Impl::take_alerts(const std::vector<Alert>& alerts, Timestamp now) {
  for (const Alert& alert : alerts) {
    (alert.is_resolved_at(now) ? metrics.received_resolved : metrics.received_firing).add();
  }
  const Status status = change([&](NotifierCore& c, Changes& changes) -> Status {
    if (!c.config) return unavailable("the notifier has no configuration yet");
    for (Alert alert : alerts) {
      if (alert.ends_at.ms == 0) alert.ends_at = now + c.config->resolve_timeout;
      c.dispatcher.receive(std::move(alert), now, changes);
    }
    return {};
  });
  door.wake();
  return status;
}

Notifier::Notifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Notifier::~Notifier() {
  MutexLock lock(impl_->mailbox->mutex);
  impl_->mailbox->wake = nullptr;
}

Result<std::unique_ptr<Notifier>> Notifier::open(NotifierDoor door, NotifierOptions options,
                                                 Timestamp now) {
  NotifierLog::Opened opened = TRY(NotifierLog::open(door.files, options.directory));
  if (opened.torn_bytes > 0) {
    door.log.warn("The notifier's log ended in the middle of a record",
                  {{"bytes", std::to_string(opened.torn_bytes)}});
  }
  auto notifier = std::unique_ptr<Notifier>(
      new Notifier(std::make_unique<Impl>(std::move(door), std::move(options), std::move(opened))));
  TRY(notifier->impl_->change([&](NotifierCore& core, Changes& changes) -> Status {
    core.extend_alerts(now, changes);
    return {};
  }));
  return notifier;
}

Status Notifier::configure(std::shared_ptr<const NotifierConfig> config, Timestamp now) {
  auto templates = std::make_shared<const NotificationTemplates>(
      TRY(NotificationTemplates::create(config->templates)));
  const Status status = impl_->change([&](NotifierCore& core, Changes& changes) -> Status {
    core.configure(config, templates, now, changes);
    return {};
  });
  impl_->door.wake();
  return status;
}

std::shared_ptr<const NotifierConfig> Notifier::config() const {
  MutexLock lock(impl_->mutex);
  return impl_->core.config;
}

Status Notifier::deliver(const AlertBatch& batch) {
  return impl_->take_alerts(batch.alerts, batch.at);
}

Status Notifier::post_alerts(std::vector<Alert> alerts, Timestamp now) {
  std::string wrong;
  std::erase_if(alerts, [&](Alert& alert) {
    alert.updated_at = now;
    if (alert.starts_at.ms == 0) alert.starts_at = alert.ends_at.ms == 0 ? now : alert.ends_at;
    std::string why;
    if (alert.labels.empty()) why = "at least one label pair required";
    if (alert.ends_at.ms != 0 && alert.ends_at < alert.starts_at) {
      why = "start time must be before end time";
    }
    if (why.empty()) return false;
    if (!wrong.empty()) wrong += "; ";
    wrong += why;
    impl_->metrics.invalid.add();
    return true;
  });
  TRY(impl_->take_alerts(alerts, now));
  return wrong.empty() ? Status() : invalid(std::move(wrong));
}

Timestamp Notifier::run_due(Timestamp now) {
  impl_->turns.take_turn();
  Timestamp next = kNever;
  while (!impl_->step(now, next)) {
  }
  impl_->turns.end_turn();
  return next;
}

bool Notifier::Impl::step(Timestamp now, Timestamp& next) {
  const std::vector<Wish*> wishes = turns.take_wishes();
  const std::vector<Completion> completions = take_completions();
  std::vector<std::string> log_lines;
  std::vector<Attempt> attempts;
  std::string payload;
  {
    MutexLock lock(mutex);
    Changes changes(core.state);
    plan(wishes, core, changes);
    if (core.config) {
      for (const Completion& completion : completions) {
        core.complete(completion, metrics, now, changes, log_lines);
      }
      core.forget_old(now, changes);
      next = core.dispatcher.flush_due(now, changes);
      for (std::string& error : core.dispatcher.take_errors()) {
        metrics.template_errors.add();
        log_lines.push_back("template: " + error);
      }
      attempts = core.take_attempts(metrics, now, changes, log_lines);
      next = std::min(next, core.next_attempt());
    }
    payload = changes.take_payload();
  }
  // On disk before anybody is told. When that fails the page still goes out.
  finish(wishes, write(payload), turns);
  compact_if_due();
  for (const std::string& line : log_lines) door.log.warn("Notification", {{"what", line}});
  for (const Attempt& attempt : attempts) start(attempt, now);
  MutexLock lock(mailbox->mutex);
  return mailbox->completions.empty();
}

std::vector<AlertStatus> Notifier::alerts(Timestamp now) const {
  MutexLock lock(impl_->mutex);
  std::vector<AlertStatus> out;
  if (!impl_->core.config) return out;
  for (const auto& [fingerprint, alert] : impl_->core.state.alerts) {
    if (!alert.is_resolved_at(now)) out.push_back(impl_->core.status_of(alert, now));
  }
  return out;
}

std::vector<AlertGroup> Notifier::groups(Timestamp now) const {
  MutexLock lock(impl_->mutex);
  std::vector<AlertGroup> out;
  for (const auto& [key, group] : impl_->core.dispatcher.groups()) {
    const std::vector<std::string> muted_by =
        impl_->core.dispatcher.mute_intervals(*group.route, now);
    AlertGroup shown{.labels = group.labels,
                     .route_labels = impl_->core.dispatcher.route_labels(key, group, now),
                     .receiver = key.first,
                     .is_muted = !muted_by.empty(),
                     .alerts = {}};
    for (const Fingerprint fingerprint : group.members) {
      const Alert& alert = impl_->core.state.alerts.at(fingerprint);
      if (alert.is_resolved_at(now)) continue;
      shown.alerts.push_back(impl_->core.status_of(alert, now));
      shown.alerts.back().muted_by = muted_by;  // Of this route alone.
    }
    if (!shown.alerts.empty()) out.push_back(std::move(shown));
  }
  std::stable_sort(out.begin(), out.end(), [](const AlertGroup& a, const AlertGroup& b) {
    return a.labels != b.labels ? a.labels < b.labels : a.receiver < b.receiver;
  });
  return out;
}

std::vector<Silence> Notifier::silences() const {
  MutexLock lock(impl_->mutex);
  std::vector<Silence> out;
  for (const auto& [id, silence] : impl_->core.state.silences) out.push_back(silence);
  return out;
}

std::optional<Silence> Notifier::silence(const std::string& id) const {
  MutexLock lock(impl_->mutex);
  const auto found = impl_->core.state.silences.find(id);
  if (found == impl_->core.state.silences.end()) return std::nullopt;
  return found->second;
}

Result<std::string> Notifier::set_silence(Silence silence, Timestamp now) {
  std::string id;
  TRY(impl_->change([&](NotifierCore& core, Changes& changes) -> Status {
    Result<std::string> set = core.set_silence(silence, now, changes);
    if (!set.ok()) return std::move(set).status();
    id = *set;
    return {};
  }));
  return id;
}

Status Notifier::expire_silence(const std::string& id, Timestamp now) {
  return impl_->change(
      [&](NotifierCore& core, Changes& changes) { return core.expire_silence(id, now, changes); });
}

std::vector<NotificationStatus> Notifier::notifications() const {
  using State = NotificationStatus::State;
  MutexLock lock(impl_->mutex);
  const NotifierState& state = impl_->core.state;
  std::vector<NotificationStatus> out;
  const auto from_queued = [&](const NotifierState::Queued& q, State where, Timestamp changed) {
    out.push_back({where, q.message.id, q.message.integration, q.message.group_key,
                   q.message.created_at, changed, q.attempt_count, q.status, q.message.firing_count,
                   q.message.resolved_count, q.error});
  };
  for (const auto& [key, lane] : state.lanes) {
    for (const auto& queued : lane) from_queued(queued, State::kQueued, queued.next_at);
  }
  for (const auto& [id, letter] : state.dead) {
    from_queued(letter.queued, State::kDead, letter.at);
    out.back().error = letter.reason;
  }
  for (const HistoryRecord& h : state.history) {
    out.push_back({State::kDelivered, h.id, h.integration, h.group_key, h.created_at,
                   h.delivered_at, h.attempt_count, h.status, h.firing_count, h.resolved_count,
                   ""});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.created_at > b.created_at; });
  return out;
}

Result<std::size_t> Notifier::replay(const std::string& id, Timestamp now) {
  std::size_t count = 0;
  TRY(impl_->change([&](NotifierCore& core, Changes& changes) -> Status {
    std::vector<std::string> ids;
    for (const auto& [key, letter] : core.state.dead) {
      if (id.empty() || key == id) ids.push_back(key);
    }
    if (ids.empty() && !id.empty()) return not_found("no dead letter " + id);
    // In the order they were decided, as they should arrive.
    std::sort(ids.begin(), ids.end(), [&](const std::string& a, const std::string& b) {
      return core.state.dead.at(a).queued.message.created_at <
             core.state.dead.at(b).queued.message.created_at;
    });
    for (const std::string& one : ids) changes.add(ReplayedRecord{one, now});
    count = ids.size();
    return {};
  }));
  impl_->door.wake();
  return count;
}

void Notifier::collect(MetricWriter& out, Timestamp now) const {
  NotifierGauges gauges;
  {
    MutexLock lock(impl_->mutex);
    gauges = impl_->core.gauges(now);
  }
  write_metrics(out, impl_->metrics, gauges);
}

}  // namespace tarsier::alerting
