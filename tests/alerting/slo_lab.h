#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alerting/slo_runner.h"
#include "base/posix_file.h"
#include "query/engine.h"
#include "tests/alerting/rule_lab.h"
#include "tests/support/capturing_logger.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/db.h"

namespace tarsier::testing {

/// Objectives over a real database, with time as an argument: a service is scraped every 15 s, and
/// the objectives are evaluated at the end of every step. Seconds since the epoch everywhere.
class SloLab {
 public:
  SloLab();
  ~SloLab();

  static constexpr std::int64_t kBegin = 1'700'000'010;  ///< The end of a step.

  /// What the service does in the 15 s before a moment.
  struct Traffic {
    double total = 100;
    double bad = 0;
    bool is_scraped = true;
  };
  std::function<Traffic(std::int64_t t_s)> traffic = [](std::int64_t) { return Traffic(); };

  void apply(std::vector<alerting::SloDefinition> slos);
  /// Lets time pass up to and including `until_s`.
  void run_to(std::int64_t until_s);
  /// Scrapes without anybody evaluating.
  void scrape_to(std::int64_t until_s);
  /// A process that ends here and comes up again; files lose what was not synced.
  void restart(std::uint64_t seed = 5);
  /// The power goes with the n-th write from now on: what comes after it reaches neither files nor
  /// receivers until restart(). 0: it stays.
  void cut_power_in(std::uint64_t writes);
  bool power_is_cut() const { return files_->power_is_cut(); }
  std::uint64_t write_count() const { return files_->operation_count(); }
  /// Evaluates what is due now.
  void evaluate();
  std::vector<std::string> ask(const std::string& query, std::int64_t at_s);
  tsdb::Db& db() { return *db_; }
  const query::Engine& engine() const { return engine_; }
  const alerting::SloRunner& runner() const { return *runner_; }

  CapturingSink sink;
  CapturingLogger log;
  std::int64_t now_s = kBegin;

 private:
  /// Nobody hears of what a process does that is not there any more.
  struct Ear final : alerting::AlertSink {
    explicit Ear(SloLab& of) : lab(of) {}
    Status deliver(const alerting::AlertBatch& batch) override {
      return lab.power_is_cut() ? Status() : lab.sink.deliver(batch);
    }
    SloLab& lab;
  };

  void start();
  void scrape(std::int64_t t_s);

  TemporaryDirectory directory_;
  std::unique_ptr<FileSystem> posix_ = make_posix_file_system();
  std::unique_ptr<tsdb::Db> db_;
  std::unique_ptr<FaultyFileSystem> files_ = std::make_unique<FaultyFileSystem>();
  std::unique_ptr<alerting::AlertJournal> journal_;
  std::unique_ptr<alerting::EventHistory> history_;
  query::Engine engine_{{}, nullptr};
  Ear ear_{*this};
  std::unique_ptr<alerting::SloRunner> runner_;
  std::vector<alerting::SloDefinition> slos_;
  double total_ = 0;
  double bad_ = 0;
};

/// Errors of `requests` against all of them; 99.9 % over 30 days, the usual tiers.
alerting::SloDefinition availability_slo(std::string name = "availability");

}  // namespace tarsier::testing
