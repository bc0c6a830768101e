#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/time.h"
#include "ingest/discovery/kubernetes/access.h"
#include "ingest/discovery/kubernetes/store.h"

namespace tarsier::ingest {

struct KubeWatchOptions {
  // What changes cost.

  /// Objects per page of a list.
  std::size_t page_size = 250;
  std::uint64_t page_bytes_max = std::uint64_t{128} << 20;
  std::size_t page_values_max = 2'000'000;  ///< JSON values of a page.
  /// One event of a watch. The API itself takes no object above 1.5 MiB or so.
  std::size_t event_bytes_max = std::size_t{8} << 20;
  /// Events that nobody took yet; a watch that is further ahead is broken off and goes on later.
  std::size_t waiting_bytes_max = std::size_t{32} << 20;
  /// Objects told of; others are left out.
  std::size_t objects_max = 1'000'000;

  // What changes behaviour.

  /// The API ends a watch after this time, and it goes on with another one.
  Duration watch_time = minutes(5);
  Duration list_timeout = minutes(1);
  Duration retry_min = seconds(1);
  Duration retry_max = seconds(30);
};

/// What a watch asks for.
struct KubeResource {
  KubeKind kind = KubeKind::kPod;
  std::string name_space;  ///< Empty: all, or it lies in none.
  std::string label_selector;
  std::string field_selector;
};

/// One change of what there is.
struct KubeChange {
  KubeId id;
  std::optional<KubeObject> object;  ///< Nothing: it is gone.
};

/// Follows one kind of objects: lists them page by page, then watches from the version the list
/// had, resumes a watch that ends or breaks where it was, and lists again when the API has
/// forgotten that version (410 Gone), telling then what vanished meanwhile. run_due() and take() on
/// one thread; answers come on the client's. What is asked for is cancelled by the destructor.
class KubeWatch final {
 public:
  struct Doors {
    HttpClient& client;
    Logger& log;
    std::function<void()> wake;
    std::string user_agent;
  };
  KubeWatch(Doors doors, KubeWatchOptions options, KubeResource resource);
  ~KubeWatch();

  /// Asks what is due, without waiting. Returns when to call again.
  Timestamp run_due(Timestamp now, const KubeAccess& access);
  /// What changed since the last call, oldest first.
  std::vector<KubeChange> take();
  bool has_news() const;
  /// Whether the first list is complete and has been taken.
  bool is_synced() const { return is_synced_; }
  std::uint64_t failure_count() const { return failure_count_; }
  /// Why the last request failed; empty when it did not.
  const std::string& last_error() const { return last_error_; }

 private:
  enum class Phase : unsigned char { kPausing, kListing, kWatching };
  struct Event;
  struct Inbox;

  void list(const KubeAccess& access, const std::string& page);
  void watch(const KubeAccess& access);
  void on_end(Timestamp now);
  Status on_page();
  void fail(const Status& why);
  void pause(Timestamp now);
  HttpFetch fetch_for(const KubeAccess& access, const std::string& parameters) const;

  const Doors doors_;
  const KubeWatchOptions options_;
  const KubeResource resource_;
  const std::shared_ptr<CancelToken> cancel_ = std::make_shared<CancelToken>();
  const std::shared_ptr<Inbox> inbox_;
  std::vector<KubeChange> changes_;  // Not taken yet.
  Phase phase_ = Phase::kPausing;
  Timestamp due_ = kMinTimestamp;
  std::string version_;          // To watch from; empty: a list is needed.
  std::string next_page_;        // Of the list that is being fetched.
  std::set<std::string> known_;  // Keys of all objects told of.
  std::set<std::string> listed_;
  bool is_synced_ = false;
  int failures_in_a_row_ = 0;
  std::uint64_t failure_count_ = 0;
  std::string last_error_;
};

}  // namespace tarsier::ingest
