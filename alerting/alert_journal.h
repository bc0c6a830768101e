#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/alert_history.h"
#include "alerting/alert_sink.h"
#include "alerting/alert_table.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/result.h"

namespace tarsier::alerting {

/// What the journal says: alerts by owner, and when each group was last evaluated.
struct JournalImage {
  /// An owner is whatever has alerts: `rule_owner(...)`, or the id of an objective.
  std::map<std::string, std::map<tsdb::Labels, AlertRecord>, std::less<>> alerts;
  std::map<std::string, Timestamp, std::less<>> evaluated;
  AlertHistory history;
  JournalPosition position;  ///< Of the last record.
};

/// What reading one journal file found.
struct JournalReading {
  JournalImage image;
  std::uint64_t good_bytes = 0;  ///< Up to here records are whole.
  Status damage;                 ///< Why reading stopped before the end; ok at the end.
};
/// Reads the bytes of a journal file (FORMAT.md). Never fails: a torn or damaged tail ends it.
JournalReading read_journal(Bytes file);

/// The log of alert states below `<data>/tarsier/alerts`: every transition is appended and synced
/// before anybody is told of it, so that a restart goes on where the process stood. Records are
/// collected by any number of threads and written by whoever asks for a sync; others who ask
/// meanwhile wait for the same one. When the log outgrows what it says, it is written anew. So it
/// is after a failed write or sync, by the next who asks, until the disk takes it: rules go on
/// meanwhile, and nothing is lost unless the process ends first.
class AlertJournal final {
 public:
  /// Creates the directory. A damaged tail is reported, set aside and left behind; only the disk's
  /// refusal is an error.
  static Result<std::unique_ptr<AlertJournal>> open(FileSystem& files, std::string directory,
                                                    Logger& log,
                                                    AlertHistoryLimits history = {});
  ~AlertJournal();

  // What changes an alert says at which evaluation, for the history.

  JournalPosition put(std::string_view owner, const AlertRecord& record, Timestamp at);
  JournalPosition erase(std::string_view owner, const tsdb::Labels& labels, Timestamp at);
  /// Everything the owner had.
  JournalPosition drop(std::string_view owner, Timestamp at);
  /// Receivers were told of the alert at that time.
  JournalPosition sent(std::string_view owner, const tsdb::Labels& labels, Timestamp at);
  JournalPosition evaluated(std::string_view group, Timestamp at);
  /// The process started, or a configuration was put in force: for the history.
  JournalPosition mark(AlertEventKind kind, Timestamp at);
  /// Of a group that is no more.
  JournalPosition forget(std::string_view group);

  /// Waits until everything up to `position` is on disk.
  Status sync(JournalPosition position) EXCLUDES_LOCK(mutex_);
  /// Writes what is waiting without a sync: it survives this process, not the machine.
  Status write() EXCLUDES_LOCK(mutex_);

  JournalPosition position() const;
  std::vector<AlertRecord> alerts_of(std::string_view owner) const;
  std::vector<std::string> owners() const;
  std::optional<Timestamp> last_evaluation(std::string_view group) const;
  /// What happened to alerts, also before a restart; newest first.
  std::vector<AlertEvent> history(const AlertEventFilter& filter) const;
  void collect(MetricWriter& out) const;

 private:
  AlertJournal(FileSystem& files, std::string directory, Logger& log);
  JournalPosition append(std::string_view payload) REQUIRES_LOCK(mutex_);
  void note(std::string_view owner, std::optional<AlertEvent> event) REQUIRES_LOCK(mutex_);
  Status flush(bool is_synced) REQUIRES_LOCK(mutex_);
  /// After a failure: begins a new file.
  Status recover() REQUIRES_LOCK(mutex_);
  /// Writes the image into a file of its own and goes on there.
  Status rewrite() REQUIRES_LOCK(mutex_);

  FileSystem& files_;
  const std::string directory_;
  Logger& log_;
  mutable Mutex mutex_;
  CondVar flushed_;
  JournalImage image_ GUARDED_BY(mutex_);
  std::string pending_ GUARDED_BY(mutex_);  ///< Records not yet written.
  bool is_flushing_ GUARDED_BY(mutex_) = false;
  JournalPosition synced_ GUARDED_BY(mutex_);
  Status failure_ GUARDED_BY(mutex_);
  std::uint64_t file_number_ GUARDED_BY(mutex_) = 0;
  std::uint64_t file_bytes_ GUARDED_BY(mutex_) = 0;
  std::uint64_t image_bytes_ GUARDED_BY(mutex_) = 0;  ///< Of the last rewrite.
  std::unique_ptr<WritableFile> file_;                ///< Used by the one thread that flushes.
  Counter syncs_;
};

/// The owner of a rule's alerts. `ordinal` counts rules of the group with the same identity.
std::string rule_owner(std::string_view group_key, std::string_view rule_identity,
                       std::size_t ordinal);

}  // namespace tarsier::alerting
