#include "query/search.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/api.h"
#include "base/ascii.h"
#include "base/json_writer.h"
#include "base/quote.h"
#include "query/listing_selector.h"

namespace tarsier::query {
namespace {

constexpr std::size_t kTermsMax = 32;
constexpr std::size_t kLimitDefault = 100;
constexpr std::size_t kBatchDefault = 100;

struct SearchRequest {
  TimeRange range;
  std::vector<std::vector<tsdb::Matcher>> selectors;
  std::vector<std::string> terms;
  double threshold = 0;
  bool is_jaro_winkler = false;
  bool is_case_sensitive = true;
  bool includes_score = false;
  bool includes_metadata = false;
  bool sorts = false;
  bool sorts_by_score = false;
  bool descends = false;
  std::size_t limit = kLimitDefault;
  std::size_t batch_size = kBatchDefault;
};

Result<bool> switch_parameter(const HttpRequest& request, std::string_view name, bool otherwise) {
  const std::string_view text = request.parameter(name).value_or("");
  if (text.empty()) return otherwise;
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return invalid("invalid " + std::string(name) + " " + quote(text) + ": must be boolean");
}

/// A positive whole number.
Result<std::size_t> count_parameter(const HttpRequest& request, std::string_view name,
                                    std::size_t otherwise) {
  const std::string_view text = request.parameter(name).value_or("");
  if (text.empty()) return otherwise;
  std::size_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n == 0) {
    return invalid("invalid " + std::string(name) + " " + quote(text) +
                   ": must be a positive integer");
  }
  return n;
}

Status read_terms(const HttpRequest& request, SearchRequest& search) {
  const auto terms = request.parameter_values("search[]");
  if (terms.size() > kTermsMax) {
    return invalid("too many search[] terms: got " + std::to_string(terms.size()) +
                   ", maximum is " + std::to_string(kTermsMax));
  }
  if (const std::string_view text = request.parameter("fuzz_threshold").value_or("");
      !text.empty()) {
    int percent = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
    if (error != std::errc{} || end != text.data() + text.size() || percent < 0 || percent > 100) {
      return invalid("invalid fuzz_threshold " + quote(text) + ": must be 0-100");
    }
    search.threshold = percent / 100.0;
  }
  const std::string_view algorithm = request.parameter("fuzz_alg").value_or("subsequence");
  if (!algorithm.empty() && algorithm != "subsequence" && algorithm != "jarowinkler") {
    return invalid("unsupported fuzz_alg " + quote(algorithm) +
                   ": must be one of [subsequence jarowinkler]");
  }
  search.is_jaro_winkler = algorithm == "jarowinkler";
  search.is_case_sensitive = TRY(switch_parameter(request, "case_sensitive", true));
  for (const std::string_view term : terms) {
    if (term.empty()) continue;
    search.terms.push_back(search.is_case_sensitive ? std::string(term) : ascii_lower(term));
  }
  return {};
}

std::string_view name_of(SearchIn in) {
  switch (in) {
    case SearchIn::kMetricNames: return "metric_names";
    case SearchIn::kLabelNames: return "label_names";
    case SearchIn::kLabelValues: return "label_values";
  }
  return "";
}

Status read_order(const HttpRequest& request, SearchIn in, SearchRequest& search) {
  const std::string_view by = request.parameter("sort_by").value_or("");
  const std::string_view direction = request.parameter("sort_dir").value_or("");
  if (!direction.empty() && by.empty()) {
    return invalid("sort_dir is only valid when sort_by is set");
  }
  if (!direction.empty() && by == "score") {
    return invalid("sort_dir is not supported for sort_by=score");
  }
  if (!direction.empty() && direction != "asc" && direction != "dsc") {
    return invalid("invalid sort_dir " + quote(direction) + ": must be \"asc\" or \"dsc\"");
  }
  if (!by.empty() && by != "alpha" && by != "score") {
    return invalid("invalid sort_by " + quote(by) + " for " + std::string(name_of(in)) +
                   ": must be \"alpha\" or \"score\"");
  }
  if (by == "score" && search.terms.empty()) {
    return invalid("sort_by=score requires search[] to be set");
  }
  search.sorts_by_score = by == "score";
  search.descends = direction == "dsc";
  return {};
}

Result<SearchRequest> read_request(const HttpRequest& request, SearchIn in,
                                   const SearchOptions& options) {
  SearchRequest search;
  search.range.min = TRY(optional_time(request, "start", request.received - hours(1)));
  search.range.max = TRY(optional_time(request, "end", request.received));
  if (search.range.max < search.range.min) {
    return invalid("end timestamp must not be before start timestamp");
  }
  for (const std::string_view text : request.parameter_values("match[]")) {
    search.selectors.push_back(TRY(parse_listing_selector(text)));
  }
  TRY(read_terms(request, search));
  search.includes_score = TRY(switch_parameter(request, "include_score", false));
  search.includes_metadata = TRY(switch_parameter(request, "include_metadata", false));
  TRY(read_order(request, in, search));
  const std::size_t limit_max = options.limit_max;
  const std::size_t otherwise = limit_max == 0 ? kLimitDefault : std::min(kLimitDefault, limit_max);
  search.limit = TRY(count_parameter(request, "limit", otherwise));
  if (limit_max != 0 && search.limit > limit_max) {
    return invalid("limit " + std::to_string(search.limit) + " exceeds the configured maximum (" +
                   std::to_string(limit_max) + ", see --web.search.max-limit)");
  }
  search.batch_size = TRY(count_parameter(request, "batch_size", kBatchDefault));
  return search;
}

/// Where in the value the term stands; 0 if nowhere.
double substring_score(std::string_view term, std::string_view value) {
  const std::size_t at = value.find(term);
  if (at == std::string_view::npos) return 0;
  if (at == 0) return 1;
  return 1 - 0.9 * static_cast<double>(at) / static_cast<double>(value.size() - term.size());
}

/// The best score of any term; nothing if none accepts the value.
std::optional<double> score_of(const SearchRequest& search, std::string_view raw) {
  if (search.terms.empty()) return 1;
  const std::string folded = search.is_case_sensitive ? std::string() : ascii_lower(raw);
  const std::string_view value = search.is_case_sensitive ? raw : folded;
  std::optional<double> best;
  for (const std::string& term : search.terms) {
    double score = 0;
    bool is_accepted = false;
    if (search.is_jaro_winkler) {
      score = substring_score(term, value);
      is_accepted = score > 0;
      if (!is_accepted && search.threshold > 0) {
        score = jaro_winkler(term, value);
        is_accepted = score >= search.threshold;
      }
    } else {
      score = subsequence_score(term, value);
      is_accepted = score > 0 && score >= search.threshold;
    }
    if (is_accepted && (!best || score > *best)) best = score;
  }
  return best;
}

struct Match {
  std::string value;
  double score = 0;
};

Result<std::vector<Match>> find(const SearchRequest& search, tsdb::Queryable& storage, SearchIn in,
                                const std::string& label) {
  const auto querier = TRY(storage.querier(search.range));
  std::set<std::string> values;
  const auto collect = [&](const std::vector<tsdb::Matcher>& matchers) -> Status {
    const std::string name = in == SearchIn::kMetricNames ? std::string(tsdb::kMetricName) : label;
    auto found = in == SearchIn::kLabelNames ? querier->label_names(matchers)
                                             : querier->label_values(name, matchers);
    if (!found.ok()) return std::move(found).status();
    for (std::string& value : *found) values.insert(std::move(value));
    return {};
  };
  if (search.selectors.empty()) TRY(collect({}));
  for (const auto& matchers : search.selectors) TRY(collect(matchers));
  std::vector<Match> matches;
  for (const std::string& value : values) {
    if (const std::optional<double> score = score_of(search, value)) {
      matches.push_back({value, *score});
    }
  }
  if (search.sorts_by_score) {
    std::stable_sort(matches.begin(), matches.end(),
                     [](const Match& a, const Match& b) { return a.score > b.score; });
  }
  if (search.descends) std::reverse(matches.begin(), matches.end());
  return matches;
}

void write_match(JsonWriter& json, const Match& match, const SearchRequest& search, SearchIn in,
                 const SearchOptions& options) {
  json.begin_object();
  json.field(in == SearchIn::kLabelValues ? "value" : "name", match.value);
  if (search.includes_score) json.field("score", match.score);
  if (in == SearchIn::kMetricNames && search.includes_metadata && options.metadata) {
    if (const auto metadata = options.metadata(match.value)) {
      if (!metadata->type.empty()) json.field("type", metadata->type);
      if (!metadata->help.empty()) json.field("help", metadata->help);
      if (!metadata->unit.empty()) json.field("unit", metadata->unit);
    }
  }
  json.end_object();
}

}  // namespace

double subsequence_score(std::string_view term, std::string_view value) {
  if (value.starts_with(term)) return 1;
  // Greedy from each place the first character stands at; the best one counts.
  double best = 0;
  for (std::size_t begin = value.find(term[0]); begin != std::string_view::npos;
       begin = value.find(term[0], begin + 1)) {
    std::size_t matched = 0;
    std::size_t run = 0;
    double runs = 0;
    for (std::size_t i = begin; i < value.size() && matched < term.size(); ++i) {
      if (value[i] == term[matched]) {
        ++matched;
        ++run;
      } else {
        runs += static_cast<double>(run * run);
        run = 0;
      }
    }
    if (matched < term.size()) break;  // Later places have even less room.
    runs += static_cast<double>(run * run);
    const auto size = static_cast<double>(term.size());
    const double place = 1 - 0.5 * static_cast<double>(begin) / static_cast<double>(value.size());
    best = std::max(best, 0.99 * place * runs / (size * size));
  }
  return best;
}

double jaro_winkler(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 1 : 0;
  if (a == b) return 1;
  const std::size_t half = std::max(a.size(), b.size()) / 2;
  const std::size_t reach = half > 0 ? half - 1 : 0;
  std::vector<bool> a_matched(a.size(), false);
  std::vector<bool> b_matched(b.size(), false);
  std::size_t matches = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::size_t end = std::min(b.size(), i + reach + 1);
    for (std::size_t k = i > reach ? i - reach : 0; k < end; ++k) {
      if (b_matched[k] || a[i] != b[k]) continue;
      a_matched[i] = b_matched[k] = true;
      ++matches;
      break;
    }
  }
  if (matches == 0) return 0;
  std::size_t moved = 0;
  for (std::size_t i = 0, k = 0; i < a.size(); ++i) {
    if (!a_matched[i]) continue;
    while (!b_matched[k]) ++k;
    moved += a[i] != b[k++] ? 1 : 0;
  }
  const auto m = static_cast<double>(matches);
  const double jaro = (m / static_cast<double>(a.size()) + m / static_cast<double>(b.size()) +
                       (m - static_cast<double>(moved) / 2) / m) /
                      3;
  std::size_t prefix = 0;
  while (prefix < std::min({a.size(), b.size(), std::size_t{4}}) && a[prefix] == b[prefix]) {
    ++prefix;
  }
  return jaro + 0.1 * static_cast<double>(prefix) * (1 - jaro);
}

HttpResponse search(const HttpRequest& request, tsdb::Queryable& storage, SearchIn in,
                    const SearchOptions& options) {
  const Result<SearchRequest> read = read_request(request, in, options);
  if (!read.ok()) return api_error(ApiErrorType::kBadData, read.status().message());
  const std::string label(request.parameter("label").value_or(""));
  if (in == SearchIn::kLabelValues && label.empty()) {
    return api_error(ApiErrorType::kBadData, "missing required parameter \"label\"");
  }
  const Result<std::vector<Match>> matches = find(*read, storage, in, label);
  if (!matches.ok()) return api_error(matches.status());

  HttpResponse response;
  response.content_type = "application/x-ndjson; charset=utf-8";
  const std::size_t count = std::min(matches->size(), read->limit);
  std::size_t next = 0;
  do {
    const std::size_t end = std::min(count, next + read->batch_size);
    JsonWriter json(response.body);
    json.begin_object().key("results").begin_array();
    for (; next < end; ++next) write_match(json, (*matches)[next], *read, in, options);
    json.end_array().end_object();
    response.body += '\n';
  } while (next < count);
  JsonWriter json(response.body);
  json.begin_object().field("status", "success");
  json.field("has_more", matches->size() > count).end_object();
  response.body += '\n';
  return response;
}

}  // namespace tarsier::query
