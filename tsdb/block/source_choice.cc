#include "tsdb/block/source_choice.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "tsdb/block/block_querier.h"
#include "tsdb/block/replacement.h"
#include "tsdb/block/tier_set.h"

namespace tarsier::tsdb {
namespace {

/// Rows that may stand for one sealed block, finest first.
using StandIns = std::vector<std::shared_ptr<const TierBlock>>;

bool may_stand(const TierBlock& rows, const SelectHints& hints) {
  const ResolutionHints& wish = hints.resolution;
  if (!wish.serves_kept(rows.meta().resolution)) return false;
  // Of histograms the last of each window is there, whatever else is asked.
  const AggregateUse use = wish.use.value_or(AggregateUse::kEvery);
  const bool is_asked_for = rows.meta().resolution <= wish.max_for_kept;
  return is_asked_for || use == AggregateUse::kLast || rows.meta().histogram_count == 0;
}

/// The position of the one that stands for the block, if any does.
std::optional<std::size_t> stand_in(const StandIns& candidates, const SelectHints& hints) {
  for (std::size_t i = candidates.size(); i-- > 0;) {
    if (may_stand(*candidates[i], hints)) return i;
  }
  return std::nullopt;
}

StandIns stand_ins_of(const SealedBlock& block, const StoredBlocks& stored) {
  const TimeRange range = block.range();
  const auto overlaps = [&](const auto& other) { return other->range().overlaps(range); };
  if (stored.head_min <= range.max || !block.tombstones().empty() ||
      std::any_of(stored.blocks.begin(), stored.blocks.end(), overlaps) ||
      std::count_if(stored.sealed.begin(), stored.sealed.end(), overlaps) > 1) {
    return {};
  }
  StandIns found;
  for (const auto& rows : stored.tiers) {
    const TierMeta& meta = rows->meta();
    if (meta.orphans || meta.sealed != block.meta().ulid ||
        meta.min_time != block.meta().min_time || meta.max_time != block.meta().max_time ||
        !meta.has_closed_windows || !rows->tombstones().empty()) {
      continue;
    }
    found.push_back(rows);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a->meta().resolution < b->meta().resolution;
  });
  return found;
}

void add_sealed(const std::shared_ptr<const SealedBlock>& block, const StoredBlocks& stored,
                TimeRange range, std::vector<MergeSource>& sources) {
  const auto candidates = std::make_shared<const StandIns>(stand_ins_of(*block, stored));
  MergeSource samples{make_sealed_querier(block, range), block->range()};
  if (!candidates->empty()) {
    samples.serves = [candidates](const SelectHints& hints) {
      return !stand_in(*candidates, hints);
    };
  }
  sources.push_back(std::move(samples));
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    const auto& rows = (*candidates)[i];
    MergeSource source{make_tier_querier(rows, rows->range()), rows->range()};
    source.resolution = rows->meta().resolution;
    source.serves = [candidates, i](const SelectHints& hints) {
      return stand_in(*candidates, hints) == i;
    };
    source.is_alternative = true;
    sources.push_back(std::move(source));
  }
}

/// How many of the resolutions, finest first, these hints allow.
std::size_t allowed_count(const std::vector<Duration>& resolutions, const SelectHints& hints) {
  for (std::size_t i = resolutions.size(); i-- > 0;) {
    if (hints.resolution.serves_gone(resolutions[i])) return i + 1;
  }
  return 0;
}

/// `tiers` where nothing of `covered` is: of the coarsest resolution allowed that is there, else of
/// the finest that is.
void add_gone(const TierBlockList& tiers, const std::vector<TimeRange>& covered, TimeRange range,
              std::vector<MergeSource>& sources) {
  std::vector<Duration> resolutions;
  for (const auto& rows : tiers) resolutions.push_back(rows->meta().resolution);
  std::sort(resolutions.begin(), resolutions.end());
  resolutions.erase(std::unique(resolutions.begin(), resolutions.end()), resolutions.end());
  for (std::size_t allowed = 0; allowed <= resolutions.size(); ++allowed) {
    const auto rank = [&](const auto& rows) {
      const Duration resolution = rows->meta().resolution;
      const bool is_allowed = allowed > 0 && resolution <= resolutions[allowed - 1];
      return is_allowed ? std::pair(0, -resolution.ms) : std::pair(1, resolution.ms);
    };
    TierBlockList preferred = tiers;
    std::stable_sort(preferred.begin(), preferred.end(),
                     [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    std::vector<VisiblePart> parts = visible_parts(preferred, covered, range);
    if (parts.empty()) return;
    for (VisiblePart& part : parts) {
      MergeSource source{make_tier_querier(part.block, part.range), part.range};
      source.resolution = part.block->meta().resolution;
      source.serves = [resolutions, allowed](const SelectHints& hints) {
        return allowed_count(resolutions, hints) == allowed;
      };
      source.is_alternative = allowed > 0;
      sources.push_back(std::move(source));
    }
  }
}

}  // namespace

bool orphans_count(const TierBlock& rows, const SealedBlockList& sealed) {
  if (!rows.meta().orphans) return true;
  const auto source = find_block(sealed, rows.meta().sealed);
  return source == nullptr || !source->tombstones().ranges(rows.meta().orphans->probe).empty();
}

std::vector<MergeSource> choose_sources(const StoredBlocks& stored, TimeRange range) {
  std::vector<MergeSource> sources;
  std::vector<TimeRange> covered;
  for (const auto& block : stored.blocks) covered.push_back(block->range());
  for (const auto& block : stored.sealed) covered.push_back(block->range());
  // Orphans serve beside whatever has the other series of their time.
  TierBlockList rows;
  std::map<Ulid, TierBlockList> orphans;
  for (const auto& block : stored.tiers) {
    if (!block->meta().orphans) {
      rows.push_back(block);
    } else if (block->range().overlaps(range) && orphans_count(*block, stored.sealed)) {
      orphans[block->meta().orphans->drop].push_back(block);
    }
  }
  add_gone(rows, covered, range, sources);
  for (const auto& [drop, list] : orphans) add_gone(list, {}, range, sources);
  for (const auto& block : stored.sealed) {
    if (block->range().overlaps(range)) add_sealed(block, stored, range, sources);
  }
  for (const auto& block : stored.blocks) {
    if (!block->range().overlaps(range)) continue;
    sources.push_back({make_block_querier(block, range), block->range()});
  }
  std::stable_sort(sources.begin(), sources.end(), [](const MergeSource& a, const MergeSource& b) {
    return a.range.min < b.range.min;
  });
  return sources;
}

}  // namespace tarsier::tsdb
