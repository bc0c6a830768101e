#include "tsdb/compaction/planner.h"

#include <algorithm>
#include <span>

#include "base/check.h"

namespace tarsier::tsdb {
namespace {

using Metas = std::vector<BlockMeta>;

constexpr std::size_t kRangeCountMax = 10;
constexpr std::int64_t kRangeFactor = 3;
constexpr double kTombstonesPerSeries = 0.05;

std::vector<Ulid> ulids_of(std::span<const BlockMeta> metas) {
  std::vector<Ulid> ulids;
  for (const BlockMeta& meta : metas) ulids.push_back(meta.ulid);
  return ulids;
}

bool has_failed(std::span<const BlockMeta> metas) {
  return std::any_of(metas.begin(), metas.end(),
                     [](const BlockMeta& meta) { return meta.compaction_failed; });
}

std::vector<Ulid> first_overlapping_run(std::span<const BlockMeta> metas) {
  std::size_t begin = 0;
  Timestamp end = kMinTimestamp;  // Of everything since `begin`.
  for (std::size_t i = 0; i <= metas.size(); ++i) {
    if (i == metas.size() || metas[i].min_time >= end) {
      const auto run = metas.subspan(begin, i - begin);
      // Prometheus would try a run that failed again and again.
      if (run.size() > 1 && !has_failed(run)) return ulids_of(run);
      begin = i;
    }
    if (i < metas.size()) end = std::max(end, metas[i].max_time);
  }
  return {};
}

Timestamp window_begin(Timestamp t, Duration range) {
  const std::int64_t floor = t.ms / range.ms - (t.ms % range.ms < 0 ? 1 : 0);
  return Timestamp{} + Duration{floor * range.ms};
}

std::vector<Ulid> first_group(std::span<const BlockMeta> metas, Duration range) {
  for (std::size_t begin = 0; begin < metas.size();) {
    const Timestamp from = window_begin(metas[begin].min_time, range);
    const Timestamp to = from + range;
    std::size_t end = begin;
    while (end < metas.size() && metas[end].min_time >= from && metas[end].max_time <= to) ++end;
    const auto group = metas.subspan(begin, end - begin);
    begin = std::max(end, begin + 1);
    if (group.size() < 2) continue;
    const Duration length = group.back().max_time - group.front().min_time;
    const bool is_done = length == range || group.back().max_time <= metas.back().min_time;
    if (is_done && !has_failed(group)) return ulids_of(group);
  }
  return {};
}

std::vector<Ulid> much_deleted(std::span<const BlockMeta> metas, Duration long_enough) {
  for (std::size_t i = metas.size(); i > 0; --i) {
    const BlockMeta& meta = metas[i - 1];
    const auto tombstones = static_cast<double>(meta.tombstone_count);
    if (meta.max_time - meta.min_time < long_enough) {
      const bool all_gone = meta.tombstone_count > 0 && meta.tombstone_count >= meta.series_count &&
                            !meta.compaction_failed;
      return all_gone ? ulids_of({&meta, 1}) : std::vector<Ulid>();
    }
    const bool much =
        tombstones / static_cast<double>(meta.series_count + 1) > kTombstonesPerSeries;
    if (much && !meta.compaction_failed) {
      return ulids_of({&meta, 1});
    }
  }
  return {};
}

std::vector<Ulid> plan_group(const Metas& metas, const std::vector<Duration>& ranges) {
  if (std::vector<Ulid> run = first_overlapping_run(metas); !run.empty()) return run;
  if (metas.size() < 2) return {};
  const auto settled = std::span(metas).first(metas.size() - 1);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (std::vector<Ulid> group = first_group(settled, ranges[i]); !group.empty()) return group;
  }
  return much_deleted(settled, ranges[ranges.size() / 2]);
}

}  // namespace

std::vector<Duration> compaction_ranges(Duration block_range, Duration block_range_max) {
  CHECK(block_range > Duration{});
  std::vector<Duration> ranges = {block_range};
  while (ranges.size() < kRangeCountMax && ranges.back().ms <= block_range_max.ms / kRangeFactor) {
    ranges.push_back({ranges.back().ms * kRangeFactor});
  }
  return ranges;
}

std::vector<Ulid> plan_compaction(std::vector<BlockMeta> blocks,
                                  const std::vector<Duration>& ranges) {
  CHECK(!ranges.empty());
  std::sort(blocks.begin(), blocks.end(), [](const BlockMeta& a, const BlockMeta& b) {
    return std::pair(a.min_time, a.ulid) < std::pair(b.min_time, b.ulid);
  });
  // Merged with others, a block of out-of-order samples loses the hint that it does not hold all of
  // its time; where the head is still to be cut, a restart would then take the log for old.
  Timestamp complete_until = kMinTimestamp;
  for (const BlockMeta& meta : blocks) {
    if (meta.is_complete()) complete_until = std::max(complete_until, meta.max_time);
  }
  std::erase_if(blocks, [&](const BlockMeta& meta) {
    return meta.has_hint(kHintOutOfOrder) && meta.max_time > complete_until;
  });
  Metas groups[3];
  for (const BlockMeta& meta : blocks) {
    const bool stale = meta.has_hint(kHintStaleSeries);
    groups[stale ? 1 : meta.has_hint(kHintSelectedSeries) ? 2 : 0].push_back(meta);
  }
  for (const Metas& group : groups) {
    if (std::vector<Ulid> plan = plan_group(group, ranges); !plan.empty()) return plan;
  }
  return {};
}

}  // namespace tarsier::tsdb
