#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "ingest/remote_read_config.h"
#include "tsdb/labels.h"
#include "tsdb/querier.h"

namespace tarsier::ingest {

struct RemoteReaderOptions {
  /// Of one answer, as it comes. All chunks of some 100 million samples.
  std::uint64_t answer_bytes_max = std::uint64_t{256} << 20;
  std::uint64_t samples_max = 50'000'000;  ///< Of one answer; buckets count, too.
  /// Younger than that much above our oldest sample, ours are not trusted to be complete.
  Duration start_margin = hours(4);
};

/// Our own storage with others behind it (`remote_read`): a selection is asked of every endpoint it
/// is for, all at the same time, and what comes is merged with what we have; of samples at one time
/// ours stays. An endpoint that fails costs its series and leaves a warning with the selection.
/// Label names and values are ours alone: remote read cannot list them. Without endpoints it is the
/// storage itself. Selections wait for answers, so they belong on threads that may. Any number of
/// threads.
class RemoteReader final : public tsdb::Queryable {
 public:
  struct Doors {
    HttpClient& client;
    tsdb::Queryable& local;
    /// The oldest sample of our own; kMaxTimestamp when there is none.
    std::function<Timestamp()> local_start;
    std::function<std::int64_t()> monotonic_ns;
    Logger& log;
    std::string user_agent;
  };
  RemoteReader(Doors doors, RemoteReaderOptions options);
  ~RemoteReader() override;

  /// Makes these the endpoints of selections from now on.
  void apply(const std::vector<RemoteReadConfig>& configs, const tsdb::Labels& external_labels);

  Result<std::unique_ptr<tsdb::Querier>> querier(TimeRange range) override;
  /// Nobody tells what changes elsewhere.
  const tsdb::ChangeLog* changes() const override;
  void collect(MetricWriter& out) const;

 private:
  class View;
  struct Endpoint;
  using Endpoints = std::vector<std::shared_ptr<Endpoint>>;

  std::shared_ptr<const Endpoints> endpoints() const;

  const Doors doors_;
  const RemoteReaderOptions options_;
  mutable Mutex mutex_;
  std::shared_ptr<const Endpoints> endpoints_ GUARDED_BY(mutex_);
};

}  // namespace tarsier::ingest
