#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "tsdb/querier.h"

namespace tarsier::query {

/// What the search endpoints look through.
enum class SearchIn : unsigned char { kMetricNames, kLabelNames, kLabelValues };

struct SearchMetadata {
  std::string type;
  std::string help;
  std::string unit;
};

struct SearchOptions {
  /// Largest `limit` a request may give; 0 is no limit. `--web.search.max-limit`
  std::size_t limit_max = 10'000;
  /// What is known of a metric; null: nothing is.
  std::function<std::optional<SearchMetadata>(std::string_view name)> metadata;
};

/// /api/v1/search/*: names and values that contain or resemble what somebody types, as
/// newline-separated JSON. Any number of threads.
HttpResponse search(const HttpRequest& request, tsdb::Queryable& storage, SearchIn in,
                    const SearchOptions& options);

/// How well `value` matches `term`, 0 to 1; 0 is not at all. A beginning is 1. Else all of the
/// term's characters must occur in order: more in one piece, and nearer to the beginning of the
/// value, is better.
double subsequence_score(std::string_view term, std::string_view value);
/// The Jaro-Winkler similarity of the two (Winkler 1990), by bytes.
double jaro_winkler(std::string_view a, std::string_view b);

}  // namespace tarsier::query
