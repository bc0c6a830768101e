#include "tests/alerting/slo_lab.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace tarsier::testing {

alerting::SloDefinition availability_slo(std::string name) {
  alerting::SloDefinition slo;
  slo.name = std::move(name);
  slo.objective_percent = 99.9;
  slo.sli = {.kind = alerting::SliDefinition::Kind::kErrors,
             .errors = R"(requests{code="500"})",
             .total = "requests"};
  return slo;
}

SloLab::SloLab() {
  tsdb::Options options;
  options.wal_sync = tsdb::WalSync::kNone;
  auto opened = tsdb::Db::open(*posix_, directory_.path() + "/data", options, log, nullptr);
  CHECK(opened.ok(), opened.status().message());
  db_ = std::move(*opened);
  start();
}

SloLab::~SloLab() {
  runner_.reset();
  history_.reset();
  journal_.reset();
}

void SloLab::start() {
  auto journal = alerting::AlertJournal::open(*files_, "tarsier/alerts", log);
  CHECK(journal.ok(), journal.status().message());
  journal_ = std::move(*journal);
  auto history = alerting::EventHistory::open(*files_, "tarsier/slo", {}, log);
  CHECK(history.ok(), history.status().message());
  history_ = std::move(*history);
  runner_ = std::make_unique<alerting::SloRunner>(
      alerting::SloOptions{},
      alerting::SloDoors{.engine = engine_,
                         .storage = *db_,
                         .make_appender = [this] { return db_->appender(); },
                         .monotonic_ns = [] { return std::int64_t{0}; },
                         .log = log,
                         .sink = &ear_,
                         .journal = journal_.get(),
                         .history = history_.get(),
                         .pull = {},
                         .select = {}});
}

void SloLab::apply(std::vector<alerting::SloDefinition> slos) {
  slos_ = std::move(slos);
  std::vector<std::shared_ptr<const alerting::Slo>> compiled;
  for (const alerting::SloDefinition& slo : slos_) {
    auto one = alerting::Slo::compile(slo);
    CHECK(one.ok(), one.status().message());
    compiled.push_back(std::move(*one));
  }
  runner_->apply(std::move(compiled), {.external_labels = {}, .external_url = "http://tarsier"},
                 {now_s * 1000});
}

void SloLab::scrape(std::int64_t t_s) {
  const Traffic now = traffic(t_s);
  total_ += now.total;
  bad_ += now.bad;
  if (!now.is_scraped) return;
  const auto appender = db_->appender();
  for (const auto& [code, value] : {std::pair("200", total_ - bad_), std::pair("500", bad_)}) {
    const auto ref = appender->resolve(tsdb::Labels({{"__name__", "requests"}, {"code", code}}));
    CHECK(ref.ok());
    static_cast<void>(appender->append(*ref, {.t = {t_s * 1000}, .v = value}));
  }
  CHECK(appender->commit().ok());
}

void SloLab::scrape_to(std::int64_t until_s) {
  while (now_s + 15 <= until_s) {
    now_s += 15;
    scrape(now_s);
  }
}

void SloLab::run_to(std::int64_t until_s) {
  while (now_s + 15 <= until_s) {
    now_s += 15;
    scrape(now_s);
    evaluate();
  }
}

void SloLab::evaluate() {
  const Timestamp now{now_s * 1000 + 2000};
  while (runner_->run_due(now) <= now) {
  }
}

void SloLab::cut_power_in(std::uint64_t writes) {
  files_->cut_power_at(writes == 0 ? 0 : files_->operation_count() + writes);
}

void SloLab::restart(std::uint64_t seed) {
  runner_.reset();
  auto survivors = files_->after_power_cut(seed);
  history_.reset();
  journal_.reset();
  files_ = std::move(survivors);
  start();
  apply(slos_);
}

std::vector<std::string> SloLab::ask(const std::string& query, std::int64_t at_s) {
  const Timestamp at{at_s * 1000};
  const auto prepared = engine_.prepare({.text = query, .start = at, .end = at});
  CHECK(prepared.ok(), prepared.status().message());
  const auto answer = engine_.run(*db_, *prepared, nullptr);
  CHECK(answer.ok(), answer.status().message());
  std::vector<std::string> out;
  for (const query::VectorElement& e : answer->vector) {
    out.push_back(fmt::format("{} {}", e.labels.to_string(), e.value));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace tarsier::testing
