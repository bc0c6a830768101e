#include "tests/alerting/rule_lab.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "query/expression.h"
#include "query/parse.h"

namespace tarsier::testing {
namespace {

std::string text_of(Timestamp t) {
  return t.ms % 1000 == 0 ? fmt::format("{}", t.ms / 1000)
                          : fmt::format("{:.3f}", static_cast<double>(t.ms) / 1000);
}

std::string name_of(const tsdb::Labels& labels) {
  tsdb::LabelsBuilder builder(labels);
  builder.set(tsdb::kMetricName, labels.get("alertname"));
  builder.remove("alertname");
  return builder.build().to_string();
}

}  // namespace

tsdb::Labels labels_of(std::string_view selector) {
  const auto matchers = query::parse_metric_selector(selector);
  CHECK(matchers.ok(), matchers.status().message());
  tsdb::LabelsBuilder builder;
  for (const tsdb::Matcher& matcher : *matchers) builder.set(matcher.name(), matcher.value());
  return builder.build();
}

Status CapturingSink::deliver(const alerting::AlertBatch& batch) {
  MutexLock lock(mutex_);
  if (refuses) return unavailable("the test refuses");
  batches.push_back(batch);
  return {};
}

std::vector<std::string> CapturingSink::take() {
  std::vector<std::string> out;
  for (; taken_ < batches.size(); ++taken_) {
    for (const alerting::Alert& alert : batches[taken_].alerts) {
      const bool is_over = alert.state == alerting::AlertState::kInactive;
      out.push_back(fmt::format("{} {} since {} {} {}", is_over ? "resolved" : "firing",
                                name_of(alert.labels), text_of(alert.starts_at),
                                is_over ? "over" : "until", text_of(alert.ends_at)));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

RuleLab::RuleLab(Setup setup) : setup_(std::move(setup)) {
  tsdb::Options options;
  options.wal_sync = tsdb::WalSync::kNone;
  auto opened = tsdb::Db::open(*posix_, directory_.path() + "/data", options, log, nullptr);
  CHECK(opened.ok(), opened.status().message());
  db_ = std::move(*opened);
  if (setup_.thread_count > 0) {
    pool_ = std::make_unique<ThreadPool>(ThreadPool::Options{.thread_count = setup_.thread_count});
  }
  start_runner();
}

RuleLab::~RuleLab() {
  runner_.reset();
  journal_.reset();
}

void RuleLab::start_runner() {
  if (setup_.has_journal) {
    auto journal = alerting::AlertJournal::open(*journal_files_, "tarsier/alerts", log);
    CHECK(journal.ok(), journal.status().message());
    journal_ = std::move(*journal);
  }
  runner_ = std::make_unique<alerting::RuleRunner>(
      setup_.options, alerting::RuleDoors{.engine = engine_,
                                          .storage = *db_,
                                          .make_appender = [this] { return db_->appender(); },
                                          .monotonic_ns = [] { return std::int64_t{0}; },
                                          .log = log,
                                          .sink = &sink,
                                          .journal = journal_.get(),
                                          .pool = pool_.get(),
                                          .limit_time = {},
                                          .wake =
                                              [this] {
                                                MutexLock lock(wake_mutex_);
                                                ++wake_count_;
                                                woken_.notify_all();
                                              }});
}

void RuleLab::feed(std::string_view selector, std::int64_t begin_s, std::int64_t step_s,
                   const std::vector<double>& values) {
  const tsdb::Labels labels = labels_of(selector);
  for (std::size_t i = 0; i < values.size(); ++i) {
    fed_.emplace(begin_s + static_cast<std::int64_t>(i) * step_s, std::pair(labels, values[i]));
  }
}

void RuleLab::put(const tsdb::Labels& labels, tsdb::Sample sample) {
  const auto appender = db_->appender();
  const auto ref = appender->resolve(labels);
  CHECK(ref.ok());
  static_cast<void>(appender->append(*ref, sample));
  CHECK(appender->commit().ok());
}

void RuleLab::put_histogram(std::string_view selector, std::int64_t t_s,
                            const tsdb::FloatHistogram& histogram) {
  const auto appender = db_->appender();
  const auto ref = appender->resolve(labels_of(selector));
  CHECK(ref.ok());
  CHECK(appender->append_float_histogram(*ref, {t_s * 1000}, histogram) ==
        tsdb::AppendOutcome::kAppended);
  CHECK(appender->commit().ok());
}

void RuleLab::feed_to(std::int64_t until_s) {
  while (!fed_.empty() && fed_.begin()->first <= until_s) {
    const auto& [t, sample] = *fed_.begin();
    put(sample.first, {.t = {t * 1000}, .v = sample.second});
    fed_.erase(fed_.begin());
  }
}

void RuleLab::apply(std::vector<alerting::RuleGroupDefinition> groups) {
  groups_ = groups;
  std::vector<alerting::RuleGroup> compiled;
  for (alerting::RuleGroupDefinition& group : groups) {
    auto made = alerting::compile_group(std::move(group), {});
    CHECK(made.ok(), made.status().message());
    compiled.push_back(std::move(*made));
  }
  runner_->apply(std::move(compiled), setup_.settings, {now_s * 1000});
}

void RuleLab::run_to(std::int64_t until_s) {
  while (true) {
    const Timestamp due = runner_->run_due({now_s * 1000});
    if (due > Timestamp{until_s * 1000}) break;
    now_s = due.ms / 1000 + (due.ms % 1000 > 0 ? 1 : 0);
    feed_to(now_s);
  }
  now_s = until_s;
  feed_to(now_s);
}

void RuleLab::kick(std::int64_t t_s) {
  now_s = t_s;
  feed_to(now_s);
  runner_->run_due({now_s * 1000});
}

void RuleLab::run_all_at(std::int64_t t_s) {
  while (true) {
    std::uint64_t seen = 0;
    {
      MutexLock lock(wake_mutex_);
      seen = wake_count_;
    }
    kick(t_s);
    const std::vector<alerting::RuleGroupStatus> groups = runner_->status();
    if (std::all_of(groups.begin(), groups.end(), [&](const auto& group) {
          return group.last_evaluation == Timestamp{t_s * 1000};
        })) {
      return;
    }
    MutexLock lock(wake_mutex_);
    while (wake_count_ == seen) woken_.wait(wake_mutex_);
  }
}

void RuleLab::restart(std::int64_t down_s) {
  runner_.reset();
  if (journal_) {
    auto survivors = journal_files_->after_power_cut(1);
    journal_.reset();
    journal_files_ = std::move(survivors);
  }
  now_s += down_s;
  feed_to(now_s);
  start_runner();
  apply(groups_);
}

void RuleLab::restart_without_journal(std::int64_t down_s) {
  runner_.reset();
  journal_.reset();
  journal_files_ = std::make_unique<FaultyFileSystem>();
  now_s += down_s;
  feed_to(now_s);
  start_runner();
  apply(groups_);
}

std::vector<std::string> RuleLab::ask(const std::string& query, std::int64_t at_s) {
  const Timestamp at{at_s * 1000};
  const auto prepared = engine_.prepare({.text = query, .start = at, .end = at});
  CHECK(prepared.ok(), prepared.status().message());
  const auto answer = engine_.run(*db_, *prepared, nullptr);
  CHECK(answer.ok(), answer.status().message());
  std::vector<std::string> out;
  for (const query::VectorElement& e : answer->vector) {
    const std::string value =
        e.histogram ? query::histogram_text(*e.histogram) : fmt::format("{}", e.value);
    out.push_back(fmt::format("{} {}", e.labels.to_string(), value));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> RuleLab::alerts() const {
  std::vector<std::string> out;
  for (const alerting::RuleGroupStatus& group : runner_->status()) {
    for (const alerting::RuleStatus& rule : group.rules) {
      for (const alerting::AlertRecord& alert : rule.alerts) {
        out.push_back(fmt::format("{} {} since {}", alerting::alert_state_name(alert.state),
                                  name_of(alert.labels), text_of(alert.active_at)));
      }
    }
  }
  return out;
}

std::vector<std::string> RuleLab::history() const {
  std::vector<std::string> out;
  for (const alerting::AlertEvent& event : journal_->history({})) {
    std::string line = fmt::format("{} {} {}", text_of(event.at), name_of(event.labels),
                                   alerting::alert_event_name(event.kind));
    const std::string_view reason = alerting::resolve_reason_text(event.reason);
    if (!reason.empty()) line += fmt::format(": {}", reason);
    out.insert(out.begin(), std::move(line));
  }
  return out;
}

alerting::RuleDefinition recording(std::string name, std::string expression) {
  return {.record = std::move(name), .expression = std::move(expression)};
}

alerting::RuleDefinition alerting_rule(std::string name, std::string expression, Duration hold) {
  return {.alert = std::move(name), .expression = std::move(expression), .hold = hold};
}

alerting::RuleGroupDefinition rule_group(std::vector<alerting::RuleDefinition> rules,
                                         std::string name, Duration interval) {
  std::string file;
  for (int i = 0; file.empty(); ++i) {
    std::string candidate = fmt::format("rules-{}.yml", i);
    if (alerting::slot_offset_of(candidate, name, interval).ms == 0) file = std::move(candidate);
  }
  return {.file = std::move(file),
          .name = std::move(name),
          .interval = interval,
          .rules = std::move(rules)};
}

}  // namespace tarsier::testing
