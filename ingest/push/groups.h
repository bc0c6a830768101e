#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ingest/relabel.h"
#include "ingest/scrape_request.h"
#include "tsdb/appender.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// A pushed value: a number or a native histogram.
using PushedValue = std::variant<double, tsdb::AnyHistogram>;

struct PushedFamily {
  tsdb::Metadata metadata;
  std::map<tsdb::Labels, PushedValue> series;  ///< With the labels of their group.
};
using PushedFamilies = std::map<std::string, PushedFamily, std::less<>>;

/// A body as it was pushed, kept as long as something of it counts: what the groups are restored
/// from.
struct PushedBody {
  ExpositionFormat format = ExpositionFormat::kPrometheusText;
  std::string bytes;
  std::set<std::string, std::less<>> families;  ///< Those that no later body replaced.
};

/// What was pushed under one set of grouping labels.
struct PushedGroup {
  PushedFamilies families;
  std::vector<PushedBody> bodies;  ///< Oldest first.
  Timestamp pushed;                ///< 0: never successfully.
  Timestamp failed;                ///< 0: never.

  std::size_t series_count() const;
  std::size_t body_bytes() const;
  /// Takes the families of `body` in place of those of the same names.
  void replace(PushedFamilies families, PushedBody body);
};
/// By their labels, `job` among them.
using PushedGroups = std::map<tsdb::Labels, PushedGroup>;

/// Reads a body into families whose series have the labels of `group`, which win over their own.
/// kInvalid for what cannot be read, for samples with a time, and for a series that is there twice.
Result<PushedFamilies> read_pushed_families(std::string_view body, ExpositionFormat format,
                                            const tsdb::Labels& group, NameValidation validation);

/// The two series that say when a group was last pushed to, in seconds.
PushedFamilies push_times(const tsdb::Labels& labels, const PushedGroup& group);

/// FORMAT.md, "Pushed groups". Decoding reads the bodies again; kCorruption says what is wrong.
std::string encode_groups(const PushedGroups& groups);
Result<PushedGroups> decode_groups(std::string_view bytes, NameValidation validation);

}  // namespace tarsier::ingest
