#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "tsdb/matcher.h"

namespace tarsier::tsdb {

/// When a commit counts as durable, and so when `when_synced` fires.
enum class WalSync : unsigned char {
  kCommit,    ///< After the fdatasync that covers it. One sync serves everybody who waits.
  kInterval,  ///< After it was written to the file; synced at most `wal_sync_interval` later.
  kNone,      ///< After it was written to the file; the operating system syncs when it likes.
};

enum class WalCompression : unsigned char { kNone, kSnappy, kZstd };

/// How many series may share one value of a label: one target (`instance`), one tenant.
struct LabelSeriesLimit {
  std::string label;
  std::size_t series_max = 0;
  bool operator==(const LabelSeriesLimit&) const = default;
};

/// Options::seal_after that keeps every block interchangeable.
inline constexpr Duration kSealNever{std::numeric_limits<std::int64_t>::max()};

/// One resolution of what is kept when the samples themselves are gone.
struct TierOptions {
  Duration resolution;
  Duration retention;  ///< 0 is without limit.
  bool operator==(const TierOptions&) const = default;
};

/// How long samples and rows of some series are kept: 0 is without limit, absent not at all.
struct RetentionRule {
  std::vector<Matcher> match;  ///< Empty: every series.
  std::optional<Duration> samples;
  std::vector<std::optional<Duration>> rows;  ///< One for each of Options::tiers.
  bool operator==(const RetentionRule&) const = default;
};

/// What Thanos calls the list of shipped blocks, in the data directory.
inline constexpr std::string_view kShippedListName = "thanos.shipper.json";

/// Who ships blocks to a bucket (Thanos), and where that is noted.
struct ShippingOptions {
  /// The list of blocks that are shipped, as Thanos' shipper keeps one. Blocks of level 1 that are
  /// not in it are neither compacted nor sealed. Empty: nobody ships.
  std::string list_path;
  /// They wait even while there is no such list.
  bool is_certain = false;
  bool operator==(const ShippingOptions&) const = default;
};

/// Everything that can be set about one database. Constant after open.
struct Options {
  // What changes behaviour.

  /// Blocks wholly older than this are deleted. 0 keeps everything. Prometheus' default.
  Duration retention = days(15);
  /// Blocks are deleted, oldest first, beyond this many bytes on disk. 0 is no limit.
  std::uint64_t retention_bytes = 0;
  WalSync wal_sync = WalSync::kCommit;
  /// Snappy, because Prometheus before 2.46 skips zstd records without a word.
  WalCompression wal_compression = WalCompression::kSnappy;
  /// Exemplars of all series together; the oldest go first. 0 stores none.
  std::size_t exemplars_max = 100'000;
  /// Samples that are not newer than their series' newest are stored, apart from the others, if
  /// they are at most this much older than the newest of all. 0 refuses them. Prometheus' default;
  /// may be changed while the database is open.
  Duration out_of_order_time_window{0};
  /// Length and alignment of the blocks cut from the head. Only tests change it.
  Duration block_range = hours(2);
  /// Compaction of blocks stops at this length. Prometheus' default is a tenth of the retention.
  Duration block_range_max = hours(36);
  /// Blocks this much older than the newest sample are sealed: kept in columns, from which they
  /// come back to the byte, but which Prometheus does not read. The server's default is a day.
  Duration seal_after = kSealNever;
  /// Made of sealed blocks; `retention` above is that of the samples. Finest first. The server's
  /// default is 5m for 90 days and 1h for two years.
  std::vector<TierOptions> tiers;
  /// For some series other limits than these two, which are the longest of all: the first that
  /// matches, and where none does the two above.
  std::vector<RetentionRule> retention_rules;
  ShippingOptions shipping;

  // What changes cost only.

  /// A commit that does not wait (scrapes, rules) is synced at most this much later.
  Duration wal_sync_interval = milliseconds(100);
  /// Multiple of 32 KiB. Prometheus' default.
  std::size_t wal_segment_bytes = std::size_t{128} << 20;
  /// Appends are refused while this much of the log waits for the disk: two seconds of a slow one.
  std::size_t wal_buffer_bytes_max = std::size_t{64} << 20;
  /// So much more of the log than usual is kept for followers that lag behind (remote write whose
  /// receiver is down): some four hours of 100,000 series every 15 s.
  std::uint64_t wal_follower_bytes_max = std::uint64_t{4} << 30;
  /// How often the head is written to an image, so that a start after a crash has little of the log
  /// to read; sooner when so much was logged as an image takes, and at least the bytes below. 0:
  /// never, not even when the database is closed.
  Duration head_image_interval = minutes(5);
  std::uint64_t head_image_log_bytes = std::uint64_t{32} << 20;
  /// A series without a sample for this long, as its newest sample and the head's say, has ended,
  /// as one has whose newest sample is a stale marker.
  Duration ended_series_idle = minutes(15);
  /// So many series that ended, and a twelfth of all, leave memory for a block.
  std::size_t ended_series_min = 4096;
  std::size_t chunk_segment_bytes = std::size_t{512} << 20;
  /// Share of the maintenance thread's time that compaction, sealing and the like may take, 1 to
  /// 100. They read and write as they compute, so it bounds their share of the disk, too.
  std::uint64_t maintenance_percent = 100;
  /// Series beyond this many are refused with a clear error. 0 is no limit.
  std::size_t head_series_max = 0;
  /// The same for the series of one metric.
  std::size_t metric_series_max = 0;
  /// The same for the series with one value of a label.
  std::vector<LabelSeriesLimit> label_series_max;
  /// Anonymous memory of the whole process, of which the head may use its share before it refuses
  /// new series. 0 is no limit.
  std::uint64_t memory_limit_bytes = 0;
  /// The rest is for queries, the caches of the doors and what the log has not written yet.
  std::uint64_t memory_head_percent = 70;
};

}  // namespace tarsier::tsdb
