#include "server/feature_flags.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/quote.h"
#include "server/flags.h"

namespace tarsier::server {
namespace {

enum class Effect : unsigned char {
  kSwitch,    ///< Turns something on.
  kQueries,   ///< The same, in queries only.
  kAlwaysOn,  ///< What it turns on in Prometheus is always on here.
  kNone,      ///< Prometheus knows it; it does nothing here.
};

struct Feature {
  std::string_view name;
  Effect effect;
};

constexpr Feature kFeatures[] = {
    {"promql-experimental-functions", Effect::kSwitch},
    {"promql-extended-range-selectors", Effect::kSwitch},
    {"promql-binop-fill-modifiers", Effect::kSwitch},
    {"promql-delayed-name-removal", Effect::kSwitch},
    {"promql-per-step-stats", Effect::kSwitch},
    {"type-and-unit-labels", Effect::kQueries},
    {"search-api", Effect::kSwitch},
    {"concurrent-rule-eval", Effect::kSwitch},
    {kStartZeroesFeature, Effect::kSwitch},
    {kAddUpDeltasFeature, Effect::kSwitch},
    {kStoreDeltasFeature, Effect::kSwitch},
    {"promql-duration-expr", Effect::kAlwaysOn},
    {"promql-at-modifier", Effect::kAlwaysOn},
    {"promql-negative-offset", Effect::kAlwaysOn},
    {"utf8-names", Effect::kAlwaysOn},
    {"remote-write-receiver", Effect::kAlwaysOn},
    {"expand-external-labels", Effect::kAlwaysOn},
    {"no-default-scrape-port", Effect::kAlwaysOn},
    {"new-service-discovery-manager", Effect::kAlwaysOn},
    {"exemplar-storage", Effect::kAlwaysOn},
    {"native-histograms", Effect::kAlwaysOn},
    {"ooo-native-histograms", Effect::kAlwaysOn},
    {"metadata-wal-records", Effect::kAlwaysOn},
    {"delayed-compaction", Effect::kNone},
    {"extra-scrape-metrics", Effect::kNone},
    {"fast-startup", Effect::kNone},
    {"histograms-st-encoding", Effect::kNone},
    {"memory-snapshot-on-shutdown", Effect::kNone},
    {"old-ui", Effect::kNone},
    {"st-storage", Effect::kNone},
    {"st-synthesis", Effect::kNone},
    {"use-start-timestamps", Effect::kNone},
    {"use-uncached-io", Effect::kNone},
    {"xor2-encoding", Effect::kNone},
    {"agent", Effect::kNone},
    {"auto-gomaxprocs", Effect::kNone},
    {"auto-gomemlimit", Effect::kNone},
    {"auto-reload-config", Effect::kNone},
};

std::vector<std::string_view> names_given(const Flags& flags) {
  std::vector<std::string_view> names;
  for (const std::string& list : flags.list("enable-feature")) {
    for (std::string_view rest = list; !rest.empty();) {
      const std::size_t size = std::min(rest.find(','), rest.size());
      if (size > 0) names.push_back(rest.substr(0, size));
      rest.remove_prefix(std::min(size + 1, rest.size()));
    }
  }
  return names;
}

}  // namespace

bool has_feature(const Flags& flags, std::string_view name) {
  const std::vector<std::string_view> names = names_given(flags);
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> feature_warnings(const Flags& flags) {
  std::vector<std::string> warnings;
  for (const std::string_view name : names_given(flags)) {
    const Feature* const known =
        std::find_if(std::begin(kFeatures), std::end(kFeatures),
                     [&](const Feature& feature) { return feature.name == name; });
    if (known == std::end(kFeatures)) {
      warnings.push_back(fmt::format("Unknown option for --enable-feature: {}", quote(name)));
    } else if (known->effect == Effect::kQueries) {
      warnings.push_back(fmt::format(
          "This option for --enable-feature changes queries only, not what is stored: {}",
          quote(name)));
    } else if (known->effect == Effect::kAlwaysOn) {
      warnings.push_back(
          fmt::format("This option for --enable-feature is always on: {}", quote(name)));
    } else if (known->effect == Effect::kNone) {
      warnings.push_back(
          fmt::format("This option for --enable-feature has no effect here: {}", quote(name)));
    }
  }
  return warnings;
}

}  // namespace tarsier::server
