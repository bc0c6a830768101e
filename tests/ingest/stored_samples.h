#pragma once

#include <string>

#include <fmt/format.h>

#include "tests/support/table_appender.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

/// The samples of one series as "value@seconds ...", "stale@..." for markers; "none" if there is no
/// such series.
inline std::string stored(const testing::TableHead& head, const tsdb::Labels& labels) {
  const auto* const series = head.find(labels);
  if (series == nullptr) return "none";
  std::string out;
  for (const tsdb::Sample& sample : series->samples) {
    if (!out.empty()) out += ' ';
    out += tsdb::is_stale_marker(sample.v) ? "stale" : fmt::format("{}", sample.v);
    out += fmt::format("@{}", static_cast<double>(sample.t.ms) / 1000);
  }
  return out;
}

}  // namespace tarsier::ingest
