#pragma once

#include <string>
#include <string_view>

#include "ingest/otlp/model.h"

namespace tarsier::ingest {

/// `otlp.translation_strategy`: whether names keep what Prometheus' older rules do not know, and
/// whether unit and type become suffixes.
enum class OtlpTranslation : unsigned char {
  kUnderscoreEscapingWithSuffixes,
  kUnderscoreEscapingWithoutSuffixes,
  kNoUtf8EscapingWithSuffixes,
  kNoTranslation,
};

/// The Prometheus name of a metric; empty when nothing of it is left.
std::string otlp_metric_name(const OtlpMetric& metric, OtlpTranslation translation);

struct OtlpLabelRules {
  bool keeps_utf8 = false;
  bool underscore_sanitization = true;
  bool preserve_multiple_underscores = true;
};
std::string otlp_label_name(std::string_view attribute, const OtlpLabelRules& rules);

/// The unit in full: "milliseconds", "bytes_per_second"; empty if it has none or is in braces.
std::string otlp_unit_word(std::string_view unit);

}  // namespace tarsier::ingest
