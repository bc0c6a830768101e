#include "alerting/rule_runner.h"

#include <algorithm>
#include <set>
#include <utility>

namespace tarsier::alerting {
namespace {

/// When the pool had no room.
constexpr Duration kRetry = milliseconds(100);
constexpr std::string_view kRuleOwners = "rule;";

Timestamp first_slot_after(Timestamp t, Duration interval, Duration offset) {
  std::int64_t into = (t.ms - offset.ms) % interval.ms;
  if (into < 0) into += interval.ms;
  return {t.ms - into + interval.ms};
}

Duration interval_of(const RuleGroupDefinition& group, const RuleSettings& settings) {
  return group.interval.value_or(settings.evaluation_interval);
}

Duration offset_of(const RuleGroupDefinition& group, const RuleSettings& settings) {
  return group.query_offset.value_or(settings.query_offset);
}

}  // namespace

struct RuleRunner::Entry {
  explicit Entry(std::unique_ptr<GroupRunner> r) : runner(std::move(r)) {}

  const std::unique_ptr<GroupRunner> runner;
  // All of these: under the runner's lock.
  Timestamp due;
  bool is_running = false;
  bool is_blocked = false;  ///< Its former self is still being evaluated.
  bool is_removed = false;
  EntryPtr successor;  ///< Takes over when the running evaluation ends.
};

RuleRunner::RuleRunner(RuleOptions options, RuleDoors doors)
    : options_(options), doors_(std::move(doors)) {}

RuleRunner::~RuleRunner() { stop(); }

RuleRunner::EntryPtr RuleRunner::make_entry(RuleGroup group, Timestamp now) {
  std::shared_ptr<const RuleSettings> settings;
  {
    MutexLock lock(mutex_);
    settings = settings_;
  }
  auto entry = std::make_shared<Entry>(
      std::make_unique<GroupRunner>(std::move(group), settings, options_, doors_, totals_));
  const GroupRunner& runner = *entry->runner;
  entry->due = first_slot_after(now, runner.interval(), runner.slot_offset());
  return entry;
}

void RuleRunner::apply(std::vector<RuleGroup> groups, RuleSettings settings, Timestamp now) {
  const auto next_settings = std::make_shared<const RuleSettings>(std::move(settings));
  std::vector<EntryPtr> former;
  bool is_start = false;
  {
    MutexLock lock(mutex_);
    former = std::exchange(entries_, {});
    settings_ = next_settings;
    is_start = !std::exchange(is_started_, true);
  }
  std::vector<EntryPtr> next;
  for (RuleGroup& group : groups) {
    const auto same = std::find_if(former.begin(), former.end(), [&](const EntryPtr& entry) {
      return entry && entry->runner->key() == group.definition.key();
    });
    const Duration interval = interval_of(group.definition, *next_settings);
    const Duration offset = offset_of(group.definition, *next_settings);
    if (same != former.end() && (*same)->runner->group().definition == group.definition &&
        (*same)->runner->interval() == interval && (*same)->runner->query_offset() == offset) {
      (*same)->runner->set_settings(next_settings);
      next.push_back(std::exchange(*same, nullptr));
      continue;
    }
    EntryPtr entry = make_entry(std::move(group), now);
    next.push_back(entry);
    if (same != former.end()) {
      const EntryPtr old = std::exchange(*same, nullptr);
      MutexLock lock(mutex_);
      old->successor = entry;
      entry->is_blocked = true;
      if (!old->is_running && !old->is_blocked) hand_over(*old);
    } else if (is_start) {
      entry->runner->resume();
    }
  }
  {
    MutexLock lock(mutex_);
    for (const EntryPtr& entry : former) {
      if (!entry) continue;
      entry->is_removed = true;
      if (!entry->is_running && !entry->is_blocked) bid_farewell(*entry->runner, now);
    }
    std::sort(next.begin(), next.end(), [](const EntryPtr& a, const EntryPtr& b) {
      const RuleGroupDefinition& left = a->runner->group().definition;
      const RuleGroupDefinition& right = b->runner->group().definition;
      return left.file != right.file ? left.file < right.file : left.name < right.name;
    });
    entries_ = std::move(next);
  }
  if (is_start) adopt_orphans(now);
}

/// The chain may be longer than one: reloads can outrun an evaluation.
void RuleRunner::hand_over(Entry& former) {
  const EntryPtr successor = std::exchange(former.successor, nullptr);
  successor->runner->adopt(*former.runner);
  successor->is_blocked = false;
  if (successor->successor) {
    hand_over(*successor);
  } else if (successor->is_removed) {
    bid_farewell(*successor->runner, successor->due);
  }
}

void RuleRunner::bid_farewell(GroupRunner& runner, Timestamp now) {
  farewells_.push_back({.key = runner.key(),
                        .due = now + Duration{2 * runner.interval().ms},
                        .query_offset = runner.query_offset(),
                        .rules = runner.dissolve()});
}

/// Alerts that the journal knows of rules that were removed while the process was down.
void RuleRunner::adopt_orphans(Timestamp now) {
  if (!doors_.journal) return;
  std::set<std::string> known;
  for (const EntryPtr& entry : entries()) {
    for (std::string& owner : entry->runner->owners()) known.insert(std::move(owner));
  }
  MutexLock lock(mutex_);
  Farewell farewell{.key = {},
                    .due = now + Duration{2 * settings_->evaluation_interval.ms},
                    .query_offset = settings_->query_offset,
                    .rules = {}};
  for (const std::string& owner : doors_.journal->owners()) {
    if (!owner.starts_with(kRuleOwners) || known.contains(owner)) continue;
    RemovedRule& rule = farewell.rules.emplace_back();
    rule.owner = owner;
    rule.generator_url = settings_->external_url;
    rule.output = std::make_unique<SeriesOutput>();
    for (AlertRecord& alert : doors_.journal->alerts_of(owner)) {
      for (const tsdb::Labels& series : synthetic_series(alert)) rule.output->expect(series);
      rule.alerts.put(std::move(alert));
    }
  }
  if (!farewell.rules.empty()) farewells_.push_back(std::move(farewell));
}

std::vector<RuleRunner::EntryPtr> RuleRunner::entries() const {
  MutexLock lock(mutex_);
  return entries_;
}

Timestamp RuleRunner::run_due(Timestamp now) {
  struct Start {
    EntryPtr entry;
    Timestamp ts;
  };
  std::vector<Start> starts;
  {
    MutexLock lock(mutex_);
    if (is_stopping_) return kNever;
    for (const EntryPtr& entry : entries_) {
      if (entry->is_running || entry->is_blocked || entry->due > now) continue;
      const Duration interval = entry->runner->interval();
      const std::int64_t missed = (now - entry->due).ms / interval.ms;
      if (missed > 0) entry->runner->count_missed(static_cast<std::uint64_t>(missed));
      const Timestamp ts = entry->due + Duration{missed * interval.ms};
      entry->due = ts;
      entry->is_running = true;
      running_.push_back(entry);
      starts.push_back({entry, ts});
    }
  }
  bool is_full = false;
  for (const Start& start : starts) {
    if (!doors_.pool) {
      run(start.entry, start.ts, now);
      continue;
    }
    const bool taken = doors_.pool->try_submit(
        [this, entry = start.entry, ts = start.ts, now] { run(entry, ts, now); });
    if (taken) continue;
    is_full = true;
    MutexLock lock(mutex_);
    start.entry->is_running = false;
    std::erase(running_, start.entry);
    if (start.entry->successor) hand_over(*start.entry);
    idle_.notify_all();
  }
  Timestamp next = run_farewells(now);
  if (is_full) next = std::min(next, now + kRetry);
  MutexLock lock(mutex_);
  for (const EntryPtr& entry : entries_) {
    if (!entry->is_running && !entry->is_blocked && entry->due > now) {
      next = std::min(next, entry->due);
    }
  }
  return next;
}

void RuleRunner::run(const EntryPtr& entry, Timestamp ts, Timestamp now) {
  entry->runner->evaluate(ts, now);
  finish(entry, ts);
}

void RuleRunner::finish(const EntryPtr& entry, Timestamp ts) {
  {
    MutexLock lock(mutex_);
    entry->is_running = false;
    entry->due = ts + entry->runner->interval();
    if (entry->successor) {
      hand_over(*entry);
    } else if (entry->is_removed) {
      bid_farewell(*entry->runner, ts);
    }
  }
  // Whoever waits in stop() may destroy everything once nothing is running.
  if (doors_.wake) doors_.wake();
  MutexLock lock(mutex_);
  std::erase(running_, entry);
  idle_.notify_all();
}

Timestamp RuleRunner::run_farewells(Timestamp now) {
  std::vector<Farewell> due;
  {
    MutexLock lock(mutex_);
    for (auto at = farewells_.begin(); at != farewells_.end();) {
      if (at->due <= now) {
        due.push_back(std::move(*at));
        at = farewells_.erase(at);
      } else {
        ++at;
      }
    }
  }
  if (!due.empty()) {
    const std::vector<EntryPtr> present = entries();
    const auto any = [&](auto&& question) {
      return std::any_of(present.begin(), present.end(),
                         [&](const EntryPtr& entry) { return question(*entry->runner); });
    };
    for (Farewell& farewell : due) {
      retire_rules(
          farewell.rules, farewell.key, now, now - farewell.query_offset, doors_,
          [&](const tsdb::Labels& l) {
            return any([&](const GroupRunner& runner) { return runner.has_alert(l); });
          },
          [&](const tsdb::Labels& l) {
            return any([&](const GroupRunner& runner) { return runner.writes(l); });
          });
      const bool is_back =
          any([&](const GroupRunner& runner) { return runner.key() == farewell.key; });
      if (doors_.journal && !is_back) doors_.journal->forget(farewell.key);
      if (farewell.rules.empty()) continue;
      farewell.due = now + options_.resend_delay;  // Nobody took the news.
      MutexLock lock(mutex_);
      farewells_.push_back(std::move(farewell));
    }
  }
  Timestamp next = kNever;
  MutexLock lock(mutex_);
  for (const Farewell& farewell : farewells_) next = std::min(next, farewell.due);
  return next;
}

void RuleRunner::stop() {
  MutexLock lock(mutex_);
  is_stopping_ = true;
  for (const EntryPtr& entry : running_) entry->runner->cancel();
  while (!running_.empty()) idle_.wait(mutex_);
}

std::vector<RuleGroupStatus> RuleRunner::status() const {
  std::vector<RuleGroupStatus> out;
  for (const EntryPtr& entry : entries()) out.push_back(entry->runner->status());
  return out;
}

void RuleRunner::collect(MetricWriter& out, Timestamp now) const {
  struct Group {
    std::string key;
    double interval_seconds;
    RuleGroupCounts counts;
  };
  std::vector<Group> groups;
  for (const EntryPtr& entry : entries()) {
    groups.push_back({entry->runner->key(),
                      static_cast<double>(entry->runner->interval().ms) / 1000,
                      entry->runner->counts()});
  }
  const auto gauge = [&](std::string_view name, std::string_view help, auto&& value) {
    for (const Group& group : groups) {
      out.gauge(name, help, static_cast<double>(value(group)), {{"rule_group", group.key}});
    }
  };
  const auto counter = [&](std::string_view name, std::string_view help, auto&& value) {
    for (const Group& group : groups) {
      out.counter(name, help, static_cast<double>(value(group)), {{"rule_group", group.key}});
    }
  };
  counter("prometheus_rule_evaluations_total", "The total number of rule evaluations.",
          [](const Group& g) { return g.counts.evaluations; });
  counter("prometheus_rule_evaluation_failures_total",
          "The total number of rule evaluation failures.",
          [](const Group& g) { return g.counts.failures; });
  counter("prometheus_rule_group_iterations_total",
          "The total number of scheduled rule group evaluations, whether executed or missed.",
          [](const Group& g) { return g.counts.iterations; });
  counter("prometheus_rule_group_iterations_missed_total",
          "The total number of rule group evaluations missed due to slow rule group evaluation.",
          [](const Group& g) { return g.counts.iterations_missed; });
  gauge("prometheus_rule_group_interval_seconds", "The interval of a rule group.",
        [](const Group& g) { return g.interval_seconds; });
  gauge("prometheus_rule_group_last_duration_seconds",
        "The duration of the last rule group evaluation.",
        [](const Group& g) { return g.counts.evaluation_seconds; });
  gauge("prometheus_rule_group_last_rule_duration_sum_seconds",
        "The sum of time in seconds it took to evaluate each rule in the group.",
        [](const Group& g) { return g.counts.rule_seconds; });
  gauge("prometheus_rule_group_last_restore_duration_seconds",
        "The duration of the last alert rules restoration.",
        [](const Group& g) { return g.counts.restore_seconds; });
  gauge("prometheus_rule_group_last_evaluation_timestamp_seconds",
        "The timestamp of the last rule group evaluation in seconds.", [](const Group& g) {
          return g.counts.last_evaluation == kNotYet
                     ? 0
                     : static_cast<double>(g.counts.last_evaluation.ms) / 1000;
        });
  gauge("prometheus_rule_group_last_evaluation_samples",
        "The number of samples returned during the last rule group evaluation.",
        [](const Group& g) { return g.counts.samples; });
  gauge("prometheus_rule_group_rules", "The number of rules.",
        [](const Group& g) { return g.counts.rules; });
  out.summary("prometheus_rule_evaluation_duration_seconds", "The duration for a rule to execute.",
              totals_.rule_seconds, {0.5, 0.9, 0.99}, now);
  out.summary("prometheus_rule_group_duration_seconds", "The duration of rule group evaluations.",
              totals_.group_seconds, {0.01, 0.05, 0.5, 0.9, 0.99}, now);
  out.counter("prometheus_template_text_expansions_total",
              "The total number of template text expansions.",
              static_cast<double>(totals_.template_expansions.load()));
  out.counter("prometheus_template_text_expansion_failures_total",
              "The total number of template text expansion failures.",
              static_cast<double>(totals_.template_failures.load()));
  out.counter("tarsier_rule_notifications_refused_total",
              "Batches of notifications that nobody took; they are tried again.",
              static_cast<double>(totals_.delivery_failures.load()));
}

}  // namespace tarsier::alerting
