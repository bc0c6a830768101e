#include "alerting/group_runner.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "alerting/group_state.h"
#include "query/monitor.h"

namespace tarsier::alerting {
namespace {

/// As form values are encoded in URLs.
std::string form_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (is_plain) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string graph_path(const Rule& rule) {
  return fmt::format("/graph?g0.expr={}&g0.tab=1", form_escaped(rule.query()));
}

std::uint64_t fnv1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211u;
  }
  return hash;
}

}  // namespace

GroupRunner::GroupRunner(RuleGroup group, std::shared_ptr<const RuleSettings> settings,
                         const RuleOptions& options, const RuleDoors& doors, RuleTotals& totals)
    : group_(std::move(group)),
      key_(group_.definition.key()),
      interval_(group_.definition.interval.value_or(settings->evaluation_interval)),
      query_offset_(group_.definition.query_offset.value_or(settings->query_offset)),
      options_(options),
      doors_(doors),
      totals_(totals),
      batches_(options.concurrent_rules ? concurrent_batches(group_.rules)
                                        : sequential_batches(group_.rules.size())),
      settings_(std::move(settings)) {
  CHECK(interval_.ms > 0);
  std::map<std::string, std::size_t> ordinals;
  for (const std::shared_ptr<const Rule>& rule : group_.rules) {
    State& state = states_.emplace_back();
    state.rule = rule;
    state.owner = rule_owner(key_, rule->identity(), ordinals[rule->identity()]++);
    state.graph_path = graph_path(*rule);
  }
}

GroupRunner::~GroupRunner() = default;

Duration slot_offset_of(std::string_view file, std::string_view name, Duration interval) {
  std::uint64_t hash = fnv1a(name, 14695981039346656037u);
  hash = fnv1a(file, fnv1a("\xff", hash));
  return {static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(interval.ms))};
}

Duration GroupRunner::slot_offset() const {
  return slot_offset_of(group_.definition.file, group_.definition.name, interval_);
}

std::vector<std::string> GroupRunner::owners() const {
  std::vector<std::string> out;
  for (const State& state : states_) out.push_back(state.owner);
  return out;
}

void GroupRunner::resume() {
  if (doors_.journal) journalled_evaluation_ = doors_.journal->last_evaluation(key_);
  const bool is_known = journalled_evaluation_ || (doors_.journal && has_journalled_alerts());
  if (!is_known) {
    if (!options_.restores) return;
    evaluations_until_restore_ = 2;  // Until then recordings and scrapes are fresh again.
    for (State& state : states_) state.is_restored = !state.rule->is_alerting();
    return;
  }
  MutexLock lock(mutex_);
  if (journalled_evaluation_) last_evaluation_ = *journalled_evaluation_;
  for (State& state : states_) {
    for (AlertRecord& alert : doors_.journal->alerts_of(state.owner)) {
      for (const tsdb::Labels& series : synthetic_series(alert)) state.output->expect(series);
      state.alerts.put(std::move(alert));
    }
  }
}

bool GroupRunner::has_journalled_alerts() const {
  return std::any_of(states_.begin(), states_.end(), [&](const State& state) {
    return !doors_.journal->alerts_of(state.owner).empty();
  });
}

void GroupRunner::adopt(GroupRunner& former) {
  std::deque<State> left;
  {
    MutexLock lock(former.mutex_);
    left = std::exchange(former.states_, {});
    MutexLock own(mutex_);
    counts_ = former.counts_;
    last_evaluation_ = former.last_evaluation_;
    evaluation_seconds_ = former.evaluation_seconds_;
  }
  evaluations_until_restore_ = former.evaluations_until_restore_;
  journalled_evaluation_ = former.journalled_evaluation_;
  removed_ = std::exchange(former.removed_, {});
  MutexLock lock(mutex_);
  for (State& state : states_) {
    const auto same = std::find_if(left.begin(), left.end(), [&](const State& other) {
      return other.rule && other.rule->identity() == state.rule->identity();
    });
    if (same == left.end()) continue;
    state.output->take_over(*same->output);
    state.alerts = std::move(same->alerts);
    state.is_restored = same->is_restored;
    state.health = same->health;
    state.last_error = std::move(same->last_error);
    state.seconds = same->seconds;
    state.last_evaluation = same->last_evaluation;
    same->rule = nullptr;
  }
  for (State& state : left) {
    if (!state.rule) continue;
    removed_.push_back({.owner = std::move(state.owner),
                        .generator_url = settings_->external_url + state.graph_path,
                        .alerts = std::move(state.alerts),
                        .output = std::move(state.output)});
  }
}

std::vector<RemovedRule> GroupRunner::dissolve() {
  MutexLock lock(mutex_);
  std::vector<RemovedRule> out = std::exchange(removed_, {});
  for (State& state : states_) {
    out.push_back({.owner = std::move(state.owner),
                   .generator_url = settings_->external_url + state.graph_path,
                   .alerts = std::move(state.alerts),
                   .output = std::move(state.output)});
  }
  states_.clear();
  return out;
}

void GroupRunner::set_settings(std::shared_ptr<const RuleSettings> settings) {
  MutexLock lock(mutex_);
  settings_ = std::move(settings);
}

void GroupRunner::count_missed(std::uint64_t iterations) {
  MutexLock lock(mutex_);
  counts_.iterations += iterations;
  counts_.iterations_missed += iterations;
}

void GroupRunner::cancel() {
  MutexLock lock(mutex_);
  is_cancelled_ = true;
  for (const std::shared_ptr<CancelToken>& token : running_) token->cancel();
}

void GroupRunner::evaluate(Timestamp ts, Timestamp now) {
  const std::int64_t begin_ns = doors_.monotonic_ns();
  std::shared_ptr<const RuleSettings> settings;
  {
    MutexLock lock(mutex_);
    settings = settings_;
    counts_.rule_seconds = 0;
  }
  iteration_samples_ = 0;
  skip_outage(ts);
  if (doors_.journal) doors_.journal->evaluated(key_, ts);
  scans_ = std::make_unique<SharedScans>(doors_.storage);
  std::int64_t told_ns = begin_ns;
  for (const RuleBatch& batch : batches_) {
    parallel_for(batch.size() > 1 ? doors_.pool : nullptr, batch.size(),
                 [&](std::size_t i) { evaluate_rule(states_[batch[i]], ts, *settings); });
    const std::int64_t now_ns = doors_.monotonic_ns();
    if (now_ns - told_ns > options_.notify_within.ms * 1'000'000) {
      tell(ts);
      told_ns = now_ns;
    }
  }
  scans_.reset();
  tell(ts);
  retire_removed(ts);
  if (evaluations_until_restore_ > 0 && --evaluations_until_restore_ == 0) restore_series(ts, now);
  {
    MutexLock lock(mutex_);
    if (is_cancelled_) return;
    ++counts_.iterations;
    counts_.samples = iteration_samples_;
    last_evaluation_ = ts;
    evaluation_seconds_ = static_cast<double>(doors_.monotonic_ns() - begin_ns) / 1e9;
    totals_.group_seconds.observe(evaluation_seconds_, now);
  }
  if (!doors_.journal) return;
  // Pending alerts too must find their `for` again after a power cut. Failures are told by the
  // journal.
  static_cast<void>(has_transitions_.exchange(false)
                        ? doors_.journal->sync(doors_.journal->position())
                        : doors_.journal->write());
}

Result<query::QueryResult> GroupRunner::ask(const std::string& query, Timestamp at) {
  const auto token = std::make_shared<CancelToken>();
  {
    MutexLock lock(mutex_);
    if (is_cancelled_) return cancelled("rules are stopping");
    running_.push_back(token);
  }
  if (doors_.limit_time) doors_.limit_time(token);
  const auto origin = std::make_shared<query::QueryOrigin>();
  origin->rule_file = group_.definition.file;
  origin->rule_group = group_.definition.name;
  origin->cancel = token;
  const auto run = [&]() -> Result<query::QueryResult> {
    const query::PreparedQuery prepared =
        TRY(doors_.engine.prepare({.text = query, .start = at, .end = at, .origin = origin}));
    return doors_.engine.run(*scans_, prepared, token.get());
  };
  Result<query::QueryResult> answer = run();
  MutexLock lock(mutex_);
  std::erase(running_, token);
  return answer;
}

void GroupRunner::evaluate_rule(State& state, Timestamp ts, const RuleSettings& settings) {
  const std::int64_t begin_ns = doors_.monotonic_ns();
  const Timestamp at = ts - query_offset_;
  Result<query::QueryResult> answer = ask(state.rule->query(), at);
  Status status = answer.status();
  if (answer.ok()) {
    status = state.rule->is_alerting() ? run_alerting(state, *answer, ts, settings)
                                       : run_recording(state, *answer, at);
  }
  MutexLock lock(mutex_);
  if (is_cancelled_ && status.code() == Code::kCancelled) return;
  state.health = status.ok() ? RuleHealth::kGood : RuleHealth::kBad;
  state.last_error = status.message();
  state.seconds = static_cast<double>(doors_.monotonic_ns() - begin_ns) / 1e9;
  state.last_evaluation = ts;
  counts_.rule_seconds += state.seconds;
  totals_.rule_seconds.observe(state.seconds, ts);
  ++counts_.evaluations;
  if (status.ok()) return;
  ++counts_.failures;
  doors_.log.warn("Evaluating rule failed",
                  {{"group", key_}, {"rule", state.rule->name()}, {"err", status.message()}});
}

Status GroupRunner::write(State& state, const std::vector<OutputSample>& samples, Timestamp at) {
  if (samples.empty() && state.output->size() == 0) return {};
  const std::unique_ptr<tsdb::Appender> appender = doors_.make_appender();
  appender->refuse_out_of_order();  // Computed again, history would contradict itself.
  const SeriesOutput::Report report = state.output->write(*appender, samples, at);
  if (state.rule->is_alerting()) {
    if (!samples.empty() || report.has_ended) {
      scans_->wrote("ALERTS");
      scans_->wrote("ALERTS_FOR_STATE");
    }
  } else {
    scans_->wrote(state.rule->name());
  }
  TRY(Status(report.status));
  iteration_samples_ += samples.size() - std::min(report.refused_count, samples.size());
  if (report.refused_count == 0) return {};
  return invalid(fmt::format("{} of {} samples were not stored: {}", report.refused_count,
                             samples.size(), report.first_refusal));
}

Status GroupRunner::run_recording(State& state, const query::QueryResult& answer, Timestamp at) {
  return write(state, TRY(recorded_samples(*state.rule, answer, group_.definition.limit)), at);
}

TemplateContext GroupRunner::template_context(Timestamp ts, const RuleSettings& settings) {
  return {.now = ts,
          .external_url = settings.external_url,
          .external_labels = settings.external_labels,
          .query = [this](std::string_view expression,
                          Timestamp at) -> Result<std::vector<TemplateSample>> {
            const query::QueryResult answer = TRY(ask(std::string(expression), at));
            std::vector<TemplateSample> out;
            if (answer.type == query::ResultType::kScalar) {
              out.push_back({.labels = {}, .value = answer.scalar});
            } else if (answer.type == query::ResultType::kVector) {
              for (const query::VectorElement& element : answer.vector) {
                out.push_back(template_sample(element));
              }
            } else {
              return invalid("rule result is not a vector or scalar");
            }
            return out;
          }};
}

Status GroupRunner::run_alerting(State& state, const query::QueryResult& answer, Timestamp ts,
                                 const RuleSettings& settings) {
  TemplateCounts templates;
  Result<std::vector<ActiveAlert>> active =
      active_alerts(*state.rule, answer, template_context(ts, settings), templates);
  totals_.template_expansions += templates.expansions;
  totals_.template_failures += templates.failures;
  if (!active.ok()) return std::move(active).status();
  const RuleDefinition& rule = state.rule->definition();
  AlertChanges changes;
  std::vector<OutputSample> samples;
  {
    MutexLock lock(mutex_);
    if (is_cancelled_) return cancelled("rules are stopping");
    changes = state.alerts.advance(std::move(*active), ts,
                                   {.hold = rule.hold, .keep_firing_for = rule.keep_firing_for},
                                   group_.definition.limit);
    if (changes.status.ok()) {
      const Duration validity{4 * std::max(interval_, options_.resend_delay).ms};
      std::vector<Alert> due = state.alerts.due_notifications(
          ts, options_.resend_delay, validity, settings.external_url + state.graph_path);
      if (!due.empty()) news_.push_back({.state = &state, .alerts = std::move(due)});
      if (state.is_restored) samples = synthetic_samples(state.alerts);
    }
  }
  journal(state, changes, ts);
  TRY(Status(changes.status));
  return state.is_restored ? write(state, samples, ts - query_offset_) : Status();
}

void GroupRunner::journal(const State& state, const AlertChanges& changes, Timestamp ts) {
  if (!doors_.journal || (changes.written.empty() && changes.erased.empty())) return;
  has_transitions_ = true;
  for (const AlertRecord& alert : changes.written) doors_.journal->put(state.owner, alert, ts);
  for (const tsdb::Labels& labels : changes.erased) doors_.journal->erase(state.owner, labels, ts);
}

}  // namespace tarsier::alerting
