#include "tsdb/compaction/downsampler.h"

#include <algorithm>

#include "tsdb/block/tier_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::size_t kCancelStride = 256;

/// The number n of the window (n r, (n + 1) r] that has t.
std::int64_t window_of(std::int64_t t, Duration resolution) {
  const std::int64_t number = (t - 1) / resolution.ms;
  return (t - 1) % resolution.ms < 0 ? number - 1 : number;
}

/// The last histogram of every window, as its counts are those of all before it, and where counters
/// were reset those on both sides of that.
std::vector<AnySample> telling_histograms(const HistogramColumns& histograms, Duration resolution) {
  std::vector<AnySample> kept;
  for (std::size_t i = 0; i < histograms.size(); ++i) {
    const std::int64_t t = histograms.times_ms[i];
    const bool is_last =
        i + 1 == histograms.size() ||
        window_of(histograms.times_ms[i + 1], resolution) != window_of(t, resolution);
    const auto is_reset = [&](std::size_t at) {
      return at < histograms.size() && histograms.hints[at] == CounterResetHint::kReset;
    };
    if (is_last || is_reset(i) || is_reset(i + 1)) kept.push_back({Timestamp{t}, histograms.at(i)});
  }
  return kept;
}

}  // namespace

Downsampler::Downsampler(FileSystem& files, const Options& options, SealedSet& sealed,
                         TierSet& tiers, Logger& log)
    : files_(files), rules_(options), sealed_(sealed), tiers_(tiers), log_(log) {
  for (const TierOptions& tier : options.tiers) resolutions_.push_back(tier.resolution);
}

bool Downsampler::has_tier(const SealedBlock& block, Duration resolution) const {
  const auto list = tiers_.blocks();
  return std::any_of(list->begin(), list->end(), [&](const auto& tier) {
    return !tier->meta().orphans && tier->meta().sealed == block.meta().ulid &&
           tier->meta().resolution == resolution && tier->meta().has_closed_windows;
  });
}

bool Downsampler::is_downsampled(const SealedBlock& block) const {
  return std::all_of(resolutions_.begin(), resolutions_.end(),
                     [&](Duration resolution) { return has_tier(block, resolution); });
}

Result<bool> Downsampler::run_due(const std::function<Ulid()>& next_ulid) {
  TRY(tiers_.reload());
  const auto list = sealed_.blocks();
  for (const auto& block : *list) {
    for (const Duration resolution : resolutions_) {
      if (cancel_.is_cancelled()) return cancelled("downsampling was cancelled");
      if (has_tier(*block, resolution)) continue;
      TRY(make(block, resolution, next_ulid()));
      return true;
    }
  }
  return false;
}

Status Downsampler::make(const std::shared_ptr<const SealedBlock>& block, Duration resolution,
                         const Ulid& ulid) {
  TierMeta meta;
  meta.ulid = ulid;
  meta.resolution = resolution;
  meta.min_time = block->meta().min_time;
  meta.max_time = block->meta().max_time;
  meta.sealed = block->meta().ulid;
  const auto tiers = tiers_.blocks();
  for (const auto& tier : *tiers) {
    const bool is_within =
        meta.min_time <= tier->meta().min_time && tier->meta().max_time <= meta.max_time;
    if (!tier->meta().orphans && tier->meta().resolution == resolution && is_within) {
      meta.replaces.push_back(tier->meta().ulid);
    }
  }
  SymbolSet symbols;
  const SymbolTable& table = block->index().symbols();
  for (std::size_t i = 0; i < table.size(); ++i) symbols.add(table.by_ordinal(i));
  const auto writer =
      TRY(TierWriter::create(files_, tiers_.directory(), std::move(meta), std::move(symbols)));
  const auto querier = make_sealed_querier(block, TimeRange{});
  const auto set = TRY(querier->select({}, {}, &cancel_));
  SampleColumns floats;
  HistogramColumns histograms;
  AggregateRows rows;
  for (std::size_t i = 0; i < set->size(); ++i) {
    if (i % kCancelStride == 0 && cancel_.is_cancelled()) {
      return cancelled("downsampling was cancelled");
    }
    const Labels labels = set->labels(i);
    if (!rules_.is_simple() && !rules_.limit(rules_.rule_of(labels), resolution)) continue;
    floats.clear();
    histograms = {};
    rows.clear();
    TRY(set->read_mixed(i, TimeRange{}, floats, histograms));
    // A series of both kinds keeps its histograms: rows and chunks of one series do not mix.
    std::vector<AnySample> kept = telling_histograms(histograms, resolution);
    if (kept.empty()) aggregate_samples(floats, resolution, rows);
    TRY(writer->add_series(labels, rows, kept));
  }
  auto made = TRY(writer->publish());
  log_.info("Block downsampled", {{"ulid", ulid.to_string()},
                                  {"sealed", block->meta().ulid.to_string()},
                                  {"resolution_ms", std::to_string(resolution.ms)},
                                  {"rows", std::to_string(made->meta().row_count)},
                                  {"bytes", std::to_string(made->size_bytes())}});
  return tiers_.add(std::move(made));
}

}  // namespace tarsier::tsdb
