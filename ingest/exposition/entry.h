#pragma once

#include <cstdint>
#include <string_view>

#include "tsdb/appender.h"

namespace tarsier::ingest {

/// What one line of an exposition holds.
enum class EntryKind : unsigned char {
  kSeries,
  kHistogram,  ///< A native histogram; of the sample only what says which series and when.
  kType,
  kHelp,
  kUnit,
  kComment,
  kEnd,    ///< The input ended as it should.
  kError,  ///< The input is wrong; the parser's status() says where and how.
};

/// One sample as it stands in the text. All views borrow the parsed body.
struct ExposedSample {
  /// `name{...}` byte for byte, without the blanks around it: the key under which a series is
  /// known. Only delimited; labels() checks it.
  std::string_view section;
  double value = 0;
  std::int64_t time_ms = 0;  ///< Meaningful if `has_time`.
  bool has_time = false;
  bool has_exemplar = false;
  /// A classic histogram's part that is exposed beside a native one of the same name.
  bool is_beside_native = false;
  bool has_start = false;
  std::int64_t start_ms = 0;  ///< When it began to count; meaningful if `has_start`.
  /// The TYPE in force on this line, which decides how `le` and `quantile` are read.
  tsdb::MetricType type = tsdb::MetricType::kUnknown;
};

/// The exemplar behind a sample. REQUIRES nothing of its labels but that they parse.
struct ExposedExemplar {
  std::string_view braces;  ///< `{...}`
  double value = 0;
  std::int64_t time_ms = 0;
  bool has_time = false;
};

/// A TYPE, HELP or UNIT line. Views borrow the parsed body and are still escaped.
struct ExposedMetadata {
  std::string_view family;
  tsdb::MetricType type = tsdb::MetricType::kUnknown;  ///< For kType.
  std::string_view text;                               ///< The HELP text or unit.
};

}  // namespace tarsier::ingest
