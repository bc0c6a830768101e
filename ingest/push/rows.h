#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

/// What a pushed line says of one series: labels as they stand there, and samples.
struct PushedRow {
  std::vector<std::pair<std::string, std::string>> labels;  ///< `__name__` among them.
  std::vector<tsdb::Sample> samples;
};

/// What a body of lines gave. Lines that cannot be read do not take the others with them.
struct PushedRows {
  std::vector<PushedRow> rows;
  std::size_t bad_line_count = 0;
  std::string first_error;  ///< "line 3: ..."
  void refuse(std::size_t line, std::string_view why);
};

struct PushLimits {
  std::size_t samples_max = 1'000'000;
  std::size_t line_bytes_max = std::size_t{16} << 20;
};

/// InfluxDB's line protocol: `measurement,tag=v field=1,f2=2i timestamp`. A series is called
/// `measurement_field`, tags are its labels, `database` its label `db` if not empty; fields that
/// are strings are left out. Times are in units of `unit_ns`; without one it is `now`. kLimit when
/// there are too many samples. Source: InfluxDB's line protocol reference; names as
/// VictoriaMetrics.
struct InfluxOptions {
  std::int64_t unit_ns = 1;
  std::string database;
  Timestamp now;
};
Result<PushedRows> parse_influx_lines(std::string_view body, const InfluxOptions& options,
                                      const PushLimits& limits);
/// How many nanoseconds a `precision` is; 0 for one nobody knows.
std::int64_t influx_unit_ns(std::string_view precision);

/// VictoriaMetrics' export:
/// `{"metric":{"__name__":"up"},"values":[1],"timestamps":[1600000000000]}` a line.
Result<PushedRows> parse_json_lines(std::string_view body, const PushLimits& limits);

/// The Prometheus text format; samples without a time get `now`.
Result<PushedRows> parse_text_lines(std::string_view body, Timestamp now, const PushLimits& limits);

}  // namespace tarsier::ingest
