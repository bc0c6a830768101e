#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alerting/rule.h"
#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "query/engine.h"
#include "query/value.h"
#include "server/remote_source.h"
#include "server/scratch_db.h"

namespace tarsier::server {

/// What of the past is recorded, and where it goes.
struct BackfillPlan {
  std::string url = "http://localhost:9090";  ///< Without a slash at its end.
  std::string output_directory = "data/";
  Timestamp start{0};
  Timestamp end{0};                ///< Inclusive.
  Duration interval = minutes(1);  ///< Of groups that name none.
};

/// Records the past: what recording rules would have recorded at the moments of their groups, as
/// two-hour blocks. A rule that reads nothing recorded here is asked of the server as a range
/// query; one that does, or that gives native histograms, which the JSON of the API does not carry
/// whole, is computed here over what remote read fetches. One run, one thread. Borrows everything.
class RuleBackfill final {
 public:
  /// `tell` hears the name of each block.
  RuleBackfill(BackfillPlan plan, FileSystem& files, const AskServer& ask,
               std::function<void(const std::string&)> tell);

  /// Groups and rules in the order in which they may read each other.
  Status run(const std::vector<alerting::RuleGroup>& groups);

 private:
  using Series = std::vector<query::MatrixSeries>;
  /// A recording rule with its place among the others.
  struct Task {
    const alerting::Rule* rule = nullptr;
    Duration interval;
    Duration offset;  ///< The moments are k * interval + this.
    bool reads_recorded = false;
    bool is_read = false;
  };
  struct Steps {
    Timestamp first;
    Timestamp last;
    Duration step;
  };

  std::vector<Task> tasks_of(const std::vector<alerting::RuleGroup>& groups) const;
  Result<tsdb::Labels> external_labels();
  Status write_block(const std::vector<Task>& tasks, Timestamp begin, Timestamp end);
  Result<Series> record(const Task& task, const Steps& steps);
  /// Nothing when there are native histograms.
  Result<std::optional<Series>> ask_range(const alerting::Rule& rule, const Steps& steps);
  Result<Series> compute(const alerting::Rule& rule, const Steps& steps);
  Status move_block(const std::string& from, const std::string& to);
  Status copy(const std::string& from, const std::string& to);

  const BackfillPlan plan_;
  FileSystem& files_;
  const AskServer& ask_;
  const std::function<void(const std::string&)> tell_;
  NullLogger log_;
  const query::Engine engine_{{}, nullptr};
  std::unique_ptr<ScratchDb> recorded_;  ///< What other rules read.
  std::unique_ptr<RemoteSource> source_;
};

}  // namespace tarsier::server
