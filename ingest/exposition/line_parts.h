#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "ingest/exposition/label_section.h"
#include "ingest/exposition/number.h"

// The pieces both line formats share.

namespace tarsier::ingest {

/// `status` with `line N: ` before its message; `at` points into `body`. Lines are counted only
/// when something is wrong. Success stays success.
Status with_line_number(Status status, std::string_view body, const char* at);

/// What is wrong with a number. REQUIRES: `error` is not kNone.
Status number_error(NumberError error, std::string_view number, std::string_view line_so_far);

/// "counter", "gauge", ... as the dialect spells them; nothing for any other word.
std::optional<tsdb::MetricType> parse_metric_type(std::string_view word, Dialect dialect);

/// The family name of a metadata line, bare or quoted; `p` moves behind it. Null data if there is
/// none at `p`.
std::string_view take_family_name(const char*& p, const char* end);

}  // namespace tarsier::ingest
