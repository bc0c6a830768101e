#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "server/config_emitter.h"
#include "server/config_reader.h"
#include "tsdb/matcher.h"
#include "tsdb/options.h"

namespace tarsier::server {

/// One entry of `storage.retention`. A limit that is not given is the default's; absent is `off`.
struct RetentionEntry {
  std::string match;  ///< As written; empty: the default entry.
  std::vector<tsdb::Matcher> matchers;
  using Limit = std::optional<std::optional<Duration>>;
  Limit samples;
  std::vector<Limit> rows;  ///< As the resolutions.
};

/// 5m and 1h.
std::vector<Duration> standard_resolutions();

/// `storage.resolutions` and `storage.retention`.
struct TierConfig {
  std::vector<Duration> resolutions = standard_resolutions();  ///< Finest first.
  std::vector<RetentionEntry> retention;                       ///< The default entry is the last.
};

/// Both keys of the `storage` section.
Result<TierConfig> read_tiers(MapReader& storage);
void render_tiers(Emitter& out, const TierConfig& tiers);

/// Sets retention, tiers and rules of `options`, whose `retention` and `seal_after` are set.
void apply_tiers(const TierConfig& tiers, tsdb::Options& options);

}  // namespace tarsier::server
