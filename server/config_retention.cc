#include "server/config_retention.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/quote.h"
#include "query/parse.h"
#include "server/config_fields.h"
#include "server/yaml.h"

namespace tarsier::server {
namespace {

constexpr Duration kResolutionMin = seconds(10);
constexpr std::size_t kResolutionsMax = 8;

/// How long rows are kept of which nobody says: 5m for 90 days, 1h for two years.
Duration default_limit(Duration resolution) {
  if (resolution < minutes(5)) return days(30);
  return resolution < hours(1) ? days(90) : days(2 * 365);
}

/// 0 is the longest.
Duration longer(Duration a, Duration b) {
  return a <= Duration{} || b <= Duration{} ? Duration{} : std::max(a, b);
}

Status read_limit(MapReader& map, const std::string& name, RetentionEntry::Limit& out) {
  if (!map.has(name)) return {};
  std::string text;
  map.read(name, text);
  if (text == "off") {
    out.emplace(std::nullopt);
    return {};
  }
  const auto limit = parse_duration(text);
  if (!limit.ok()) return invalid_at(*map.find(name), limit.status().message());
  out.emplace(*limit);
  return {};
}

Status read_resolutions(MapReader& storage, TierConfig& tiers) {
  if (!storage.has("resolutions")) return {};
  const YamlNode& node = *storage.find("resolutions");
  std::vector<std::string> texts;
  storage.read("resolutions", texts);
  tiers.resolutions.clear();
  for (const std::string& text : texts) {
    const auto resolution = parse_duration(text);
    if (!resolution.ok()) return invalid_at(node, resolution.status().message());
    if (*resolution < kResolutionMin) {
      return invalid_at(node, fmt::format("resolution {} is below 10s", text));
    }
    tiers.resolutions.push_back(*resolution);
  }
  std::sort(tiers.resolutions.begin(), tiers.resolutions.end());
  const auto twice = std::adjacent_find(tiers.resolutions.begin(), tiers.resolutions.end());
  if (twice != tiers.resolutions.end()) {
    return invalid_at(node, fmt::format("resolution {} is there twice", format_duration(*twice)));
  }
  if (tiers.resolutions.size() > kResolutionsMax) return invalid_at(node, "too many resolutions");
  return {};
}

}  // namespace

std::vector<Duration> standard_resolutions() {
  std::vector<Duration> resolutions;
  resolutions.push_back(minutes(5));
  resolutions.push_back(hours(1));
  return resolutions;
}

Result<TierConfig> read_tiers(MapReader& storage) {
  TierConfig tiers;
  TRY(read_resolutions(storage, tiers));
  const YamlNode* list = storage.find_list("retention");
  if (list == nullptr) return tiers;
  bool has_default = false;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const YamlNode& item = list->items[i];
    MapReader map(item, fmt::format("storage.retention[{}]", i), storage.problems());
    RetentionEntry entry;
    map.read("match", entry.match);
    TRY(read_limit(map, "raw", entry.samples));
    for (const Duration resolution : tiers.resolutions) {
      TRY(read_limit(map, format_duration(resolution), entry.rows.emplace_back()));
    }
    map.finish();
    if (has_default) {
      return invalid_at(item, "an entry of retention after the default, which has no match");
    }
    if (entry.match.empty()) {
      has_default = true;
    } else {
      auto matchers = query::parse_metric_selector(entry.match);
      if (!matchers.ok()) {
        return invalid_at(item, fmt::format("match of retention {}: {}", quote(entry.match),
                                            matchers.status().message()));
      }
      entry.matchers = std::move(*matchers);
    }
    tiers.retention.push_back(std::move(entry));
  }
  return tiers;
}

void render_tiers(Emitter& out, const TierConfig& tiers) {
  if (tiers.resolutions != standard_resolutions()) {
    std::vector<std::string> names;
    for (const Duration resolution : tiers.resolutions) {
      names.push_back(format_duration(resolution));
    }
    out.list(1, "resolutions", names);
  }
  if (!tiers.retention.empty()) out.line(1, "retention:");
  for (const RetentionEntry& entry : tiers.retention) {
    std::string lead = "- ";
    const auto field = [&](const std::string& name, const std::string& value) {
      out.line(1, lead + name + ": " + value);
      lead = "  ";
    };
    const auto limit = [&](const std::string& name, const RetentionEntry::Limit& value) {
      if (value) field(name, *value ? format_duration(**value) : "off");
    };
    if (!entry.match.empty()) field("match", yaml_scalar(entry.match));
    limit("raw", entry.samples);
    for (std::size_t i = 0; i < entry.rows.size(); ++i) {
      limit(format_duration(tiers.resolutions[i]), entry.rows[i]);
    }
    if (lead == "- ") out.line(1, "- {}");
  }
}

void apply_tiers(const TierConfig& tiers, tsdb::Options& options) {
  const bool seals = options.seal_after != tsdb::kSealNever;
  const std::vector<Duration> resolutions = seals ? tiers.resolutions : std::vector<Duration>();
  tsdb::RetentionRule standard;
  standard.samples = options.retention;
  for (const Duration resolution : resolutions) {
    standard.rows.push_back(default_limit(resolution));
  }
  const auto rule_of = [&](const RetentionEntry& entry) {
    tsdb::RetentionRule rule = standard;
    rule.match = entry.matchers;
    if (entry.samples) rule.samples = *entry.samples;
    for (std::size_t i = 0; i < rule.rows.size(); ++i) {
      if (entry.rows[i]) rule.rows[i] = *entry.rows[i];
    }
    return rule;
  };
  std::vector<RetentionEntry> entries = tiers.retention;
  if (!entries.empty() && entries.back().match.empty()) {
    standard = rule_of(entries.back());
    entries.pop_back();
  }
  std::vector<tsdb::RetentionRule> rules;
  for (const RetentionEntry& entry : entries) rules.push_back(rule_of(entry));
  rules.push_back(standard);

  // Blocks go as a whole when nobody wants anything of them; rows that nobody wants are not made.
  const auto longest = [&](const auto& limit_of) {
    std::optional<Duration> most;
    for (const tsdb::RetentionRule& rule : rules) {
      const std::optional<Duration> limit = limit_of(rule);
      if (limit) most = most ? longer(*most, *limit) : *limit;
    }
    return most;
  };
  const auto samples = longest([](const tsdb::RetentionRule& rule) { return rule.samples; });
  // Samples nobody wants still have to become rows.
  if (samples) options.retention = *samples;
  options.tiers.clear();
  for (std::size_t i = resolutions.size(); i-- > 0;) {
    const auto rows = longest([i](const tsdb::RetentionRule& rule) { return rule.rows[i]; });
    if (rows) {
      options.tiers.insert(options.tiers.begin(), {resolutions[i], *rows});
    } else {
      for (tsdb::RetentionRule& rule : rules) {
        rule.rows.erase(rule.rows.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  options.retention_rules = std::move(rules);
}

}  // namespace tarsier::server
