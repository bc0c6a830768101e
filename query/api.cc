#include "query/api.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <vector>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "query/monitor.h"
#include "query/parse.h"
#include "query/parse/printer.h"
#include "query/plan/plan.h"
#include "query/result_cache.h"
#include "query/result_json.h"
#include "query/result_stream.h"
#include "query/syntax_tree_json.h"
#include "tsdb/select_warnings.h"

namespace tarsier::query {
namespace {

using Selectors = std::vector<std::vector<tsdb::Matcher>>;

bool refuses_empty(const std::vector<tsdb::Matcher>& matchers) {
  return std::any_of(matchers.begin(), matchers.end(),
                     [](const tsdb::Matcher& matcher) { return !matcher.matches_empty(); });
}

/// `fail` says how the endpoint tells what is wrong.
template <typename Fail>
Result<Selectors> parse_selectors(const HttpRequest& request, Fail fail) {
  Selectors selectors;
  for (const std::string_view text : request.parameter_values("match[]")) {
    auto matchers = parse_metric_selector(text);
    if (!matchers.ok()) return fail(matchers.status().message());
    if (!refuses_empty(*matchers)) {
      return fail("match[] must contain at least one non-empty matcher");
    }
    selectors.push_back(std::move(matchers).value());
  }
  return selectors;
}

/// What lies between `start` and `end`, whichever is first.
Result<TimeRange> parse_range(const HttpRequest& request) {
  const Timestamp start = TRY(optional_time(request, "start", kApiMinTime));
  const Timestamp end = TRY(optional_time(request, "end", kApiMaxTime));
  return TimeRange{std::min(start, end), std::max(start, end)};
}

Result<Duration> parse_lookback(const HttpRequest& request) {
  const std::string_view text = request.parameter("lookback_delta").value_or("");
  if (text.empty()) return Duration{0};
  const auto parsed = parse_api_duration(text);
  if (!parsed.ok()) {
    return invalid("error parsing lookback delta duration: " + parsed.status().message());
  }
  return *parsed;
}

ApiNotes truncation_note(bool truncated) {
  ApiNotes notes;
  if (truncated) notes.warnings.emplace_back("results truncated due to limit");
  return notes;
}

/// A list of names or values, cut at the limit.
HttpResponse string_list(const std::vector<std::string>& strings, std::size_t limit) {
  const std::size_t count = limit == 0 ? strings.size() : std::min(limit, strings.size());
  return api_success(
      [&](JsonWriter& json) {
        json.begin_array();
        for (std::size_t i = 0; i < count; ++i) json.value(strings[i]);
        json.end_array();
      },
      truncation_note(count < strings.size()));
}

/// The union, sorted, of what `ask` gives for each selector, or for none when there are none.
template <typename Ask>
Result<std::vector<std::string>> united(const Selectors& selectors, Ask ask) {
  if (selectors.empty()) return ask(std::vector<tsdb::Matcher>());
  if (selectors.size() == 1) return ask(selectors.front());
  std::set<std::string> all;
  for (const auto& matchers : selectors) {
    for (std::string& text : TRY(ask(matchers))) all.insert(std::move(text));
  }
  return std::vector<std::string>(all.begin(), all.end());
}

HttpResponse respond(Result<HttpResponse> response) {
  return response.ok() ? std::move(response).value() : api_error(response.status());
}

/// Storage that fails in a query is an internal error; in a listing it is an execution error.
HttpResponse run_error(const Status& status) {
  switch (status.code()) {
    case Code::kInvalid:
    case Code::kLimit: return api_error(ApiErrorType::kExecution, status.message());
    case Code::kTimeout: return api_error(ApiErrorType::kTimeout, status.message());
    case Code::kCancelled: return api_error(ApiErrorType::kCanceled, status.message());
    default: return api_error(ApiErrorType::kInternal, status.message());
  }
}

Status listing_error(const Status& status) {
  if (status.code() == Code::kTimeout || status.code() == Code::kCancelled) return status;
  return limit_exceeded(status.message());  // kLimit is "execution".
}

/// A listing's result, with storage errors told as listings tell them.
template <typename T>
Result<T> for_listing(Result<T> result) {
  if (!result.ok()) return listing_error(result.status());
  return result;
}

std::shared_ptr<const QueryOrigin> origin_of(const HttpRequest& request, double queued_seconds) {
  auto origin = std::make_shared<QueryOrigin>();
  origin->client = request.peer.substr(0, request.peer.rfind(':'));
  origin->tenant = request.header("X-Scope-OrgID");
  origin->method = request.method;
  origin->path = request.path;
  origin->queued_seconds = queued_seconds;
  origin->cancel = request.cancel;
  return origin;
}

/// The matchers of every selector in the query.
void collect_selectors(const Expr& e, Selectors& selectors) {
  if (e.kind == ExprKind::kSelector) selectors.push_back(as<Selector>(e).matchers);
  for (const Expr* child : children_of(e)) collect_selectors(*child, selectors);
}

void write_exemplars(JsonWriter& json, const tsdb::SeriesExemplars& series) {
  json.begin_object().key("seriesLabels");
  write_labels(json, series.series);
  json.key("exemplars").begin_array();
  std::string text;
  for (const tsdb::Exemplar& exemplar : series.exemplars) {
    json.begin_object().key("labels");
    write_labels(json, exemplar.labels);
    text.clear();
    append_sample_value(text, exemplar.value);
    json.field("value", text);
    text.clear();
    append_sample_time(text, exemplar.t);
    json.key("timestamp").raw(text).end_object();
  }
  json.end_array().end_object();
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

Api::Api(const Engine& engine, tsdb::Queryable& storage, ApiOptions options, ApiClock clock,
         ResultCache* cache)
    : engine_(engine),
      storage_(storage),
      options_(options),
      clock_(std::move(clock)),
      cache_(cache) {
  CHECK(clock_.expire_at != nullptr && clock_.elapsed_seconds != nullptr);
}

HttpResponse Api::query(const HttpRequest& request, double queued_seconds) const {
  return respond(try_query(request, queued_seconds));
}

HttpResponse Api::query_range(const HttpRequest& request, double queued_seconds) const {
  return respond(try_query_range(request, queued_seconds));
}

Timestamp query_deadline(const HttpRequest& request, Duration limit) {
  const auto asked = optional_duration(request, "timeout");
  if (asked.ok() && *asked) limit = std::min(limit, **asked);
  return request.received + limit;
}

HttpResponse Api::series(const HttpRequest& request) const { return respond(try_series(request)); }

HttpResponse Api::labels(const HttpRequest& request) const { return respond(try_labels(request)); }

HttpResponse Api::label_values(const HttpRequest& request, std::string_view name) const {
  return respond(try_label_values(request, name));
}

HttpResponse Api::query_exemplars(const HttpRequest& request) const {
  const auto start = optional_time(request, "start", kApiMinTime);
  if (!start.ok()) return api_error(start.status());
  const auto end = optional_time(request, "end", kApiMaxTime);
  if (!end.ok()) return api_error(end.status());
  if (*end < *start) {
    return api_error(ApiErrorType::kBadData, "end timestamp must not be before start timestamp");
  }
  const TimeRange range{*start, *end};
  const auto parsed =
      parse_expression(request.parameter("query").value_or(""), parse_options(engine_.options()));
  if (!parsed.ok()) return api_error(parsed.status());
  Selectors selectors;
  collect_selectors(**parsed, selectors);
  std::vector<tsdb::SeriesExemplars> found;
  if (clock_.exemplars && !selectors.empty()) found = clock_.exemplars(selectors, range);
  return api_success([&](JsonWriter& json) {
    json.begin_array();
    for (const tsdb::SeriesExemplars& series : found) write_exemplars(json, series);
    json.end_array();
  });
}

HttpResponse Api::format_query(const HttpRequest& request) const {
  const auto parsed = parse(request);
  if (!parsed.ok()) return api_error(parsed.status());
  return api_success([&](JsonWriter& json) { json.value(print_pretty(**parsed)); });
}

HttpResponse Api::parse_query(const HttpRequest& request) const {
  const auto parsed = parse(request);
  if (!parsed.ok()) return api_error(parsed.status());
  return api_success([&](JsonWriter& json) { write_syntax_tree(json, **parsed); });
}

Result<ExprPtr> Api::parse(const HttpRequest& request) const {
  auto parsed =
      parse_expression(request.parameter("query").value_or(""), parse_options(engine_.options()));
  if (!parsed.ok()) return invalid_parameter("query", parsed.status().message());
  return parsed;
}

/// What the parameters of a query endpoint ask for.
struct Api::Question {
  QueryRequest query;
  std::size_t series_max = 0;
  Duration timeout{0};
};

Result<Api::Question> Api::instant_question(const HttpRequest& request) const {
  Question question;
  question.series_max = TRY(limit_parameter(request));
  question.query.start = TRY(optional_time(request, "time", request.received));
  question.query.end = question.query.start;
  question.timeout = TRY(optional_duration(request, "timeout")).value_or(options_.timeout);
  question.query.lookback_delta = TRY(parse_lookback(request));
  question.query.text = request.parameter("query").value_or("");
  return question;
}

Result<Api::Question> Api::range_question(const HttpRequest& request) const {
  Question question;
  QueryRequest& query = question.query;
  question.series_max = TRY(limit_parameter(request));
  query.start = TRY(required_time(request, "start"));
  query.end = TRY(required_time(request, "end"));
  if (query.end < query.start) {
    return invalid_parameter("end", "end timestamp must not be before start time");
  }
  const auto step = parse_api_duration(request.parameter("step").value_or(""));
  if (!step.ok()) return invalid_parameter("step", step.status().message());
  query.step = *step;
  if (query.step <= Duration{0}) {
    return invalid_parameter("step",
                             "zero or negative query resolution step widths are not accepted. Try "
                             "a positive integer");
  }
  if ((query.end - query.start).ms / query.step.ms > options_.points_max) {
    return invalid(
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
        "resolution (?step=XX)");
  }
  question.timeout = TRY(optional_duration(request, "timeout")).value_or(options_.timeout);
  query.lookback_delta = TRY(parse_lookback(request));
  query.text = request.parameter("query").value_or("");
  return question;
}

Result<PreparedQuery> Api::prepare(const HttpRequest& http, Question& question,
                                   double queued_seconds) const {
  clock_.expire_at(http.cancel, http.received + std::min(question.timeout, options_.timeout));
  question.query.origin = origin_of(http, queued_seconds);
  auto prepared = engine_.prepare(question.query);
  if (!prepared.ok()) return invalid_parameter("query", prepared.status().message());
  return prepared;
}

Result<HttpResponse> Api::try_query(const HttpRequest& request, double queued_seconds) const {
  return run(request, TRY(instant_question(request)), queued_seconds);
}

Result<HttpResponse> Api::try_query_range(const HttpRequest& request, double queued_seconds) const {
  return run(request, TRY(range_question(request)), queued_seconds);
}

HttpResponse Api::explain(const HttpRequest& request, double queued_seconds) const {
  return respond(try_explain(request, queued_seconds));
}

HttpResponse Api::query_cost(const HttpRequest& request, double queued_seconds) const {
  return respond(try_query_cost(request, queued_seconds));
}

Result<HttpResponse> Api::try_explain(const HttpRequest& request, double queued_seconds) const {
  const bool is_range = request.parameter("step").has_value();
  Question question = TRY(is_range ? range_question(request) : instant_question(request));
  const PreparedQuery prepared = TRY(prepare(request, question, queued_seconds));
  const bool analyze = request.parameter("analyze").value_or("") == "true";
  const auto explanation = engine_.explain(storage_, prepared, analyze, request.cancel.get());
  if (!explanation.ok()) return run_error(explanation.status());
  return api_success([&](JsonWriter& json) { write_explanation(json, *explanation); });
}

Result<HttpResponse> Api::try_query_cost(const HttpRequest& request, double queued_seconds) const {
  const bool is_range = request.parameter("step").has_value();
  Question question = TRY(is_range ? range_question(request) : instant_question(request));
  const PreparedQuery prepared = TRY(prepare(request, question, queued_seconds));
  const auto cost = engine_.estimate(storage_, prepared, request.cancel.get());
  if (!cost.ok()) return run_error(cost.status());
  return api_success([&](JsonWriter& json) { write_cost(json, *cost); });
}

Result<HttpResponse> Api::run(const HttpRequest& http, Question question,
                              double queued_seconds) const {
  const std::string_view stats = http.parameter("stats").value_or("");
  question.query.counts_steps = !stats.empty();
  const PreparedQuery prepared = TRY(prepare(http, question, queued_seconds));
  const std::size_t series_max = question.series_max;
  auto answer = cache_ == nullptr ? engine_.run(storage_, prepared, http.cancel.get())
                                  : cache_->run(question.query, prepared, http.cancel.get());
  if (!answer.ok()) return run_error(answer.status());
  QueryResult& result = *answer;

  const std::size_t size =
      result.type == ResultType::kVector ? result.vector.size() : result.matrix.size();
  ApiNotes notes{result.annotations.warnings, result.annotations.infos};
  if (series_max != 0 && size > series_max) {
    notes.warnings.emplace_back("results truncated due to limit");
  }
  if (!stats.empty() && stats != "true" && stats != "all") {
    notes.warnings.emplace_back(
        "value " + quote(stats) +
        " for parameter \"stats\" is deprecated and will be rejected in the "
        "next major release, use \"true\" or \"all\"");
  }
  if (stats != "all" || !options_.per_step_stats) {
    result.statistics.queryable_per_step = {};
    result.statistics.read_per_step = {};
  }
  return result_response(std::move(result),
                         {.notes = std::move(notes),
                          .series_max = series_max,
                          .has_statistics = !stats.empty(),
                          .queued_seconds = queued_seconds},
                         clock_.submit);
}

Result<HttpResponse> Api::try_series(const HttpRequest& request) const {
  const std::size_t limit = TRY(limit_parameter(request));
  if (request.parameter_values("match[]").empty()) {
    return invalid("no match[] parameter provided");
  }
  const TimeRange range = TRY(parse_range(request));
  const Selectors selectors = TRY(parse_selectors(
      request, [](const std::string& why) { return invalid_parameter("match[]", why); }));
  clock_.expire_at(request.cancel, request.received + options_.timeout);

  const auto querier = TRY(for_listing(storage_.querier(range)));
  std::vector<tsdb::Labels> found;
  std::vector<std::string> warnings;
  for (const auto& matchers : selectors) {
    tsdb::SelectHints hints;
    hints.range = range;
    hints.function = "series";
    if (limit != 0 && selectors.size() == 1) hints.series_limit = limit + 1;
    const auto set = TRY(for_listing(querier->select(matchers, hints, request.cancel.get())));
    for (std::size_t i = 0; i < set->size(); ++i) found.push_back(set->labels(i));
    for (std::string& warning : tsdb::warnings_of(*set)) warnings.push_back(std::move(warning));
  }
  if (selectors.size() > 1) {
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  }
  const std::size_t count = limit == 0 ? found.size() : std::min(limit, found.size());
  ApiNotes notes = truncation_note(count < found.size());
  notes.warnings.insert(notes.warnings.end(), warnings.begin(), warnings.end());
  return api_success(
      [&](JsonWriter& json) {
        json.begin_array();
        for (std::size_t i = 0; i < count; ++i) write_labels(json, found[i]);
        json.end_array();
      },
      notes);
}

Result<HttpResponse> Api::try_labels(const HttpRequest& request) const {
  const std::size_t limit = TRY(limit_parameter(request));
  const TimeRange range = TRY(parse_range(request));
  const Selectors selectors =
      TRY(parse_selectors(request, [](const std::string& why) { return invalid(why); }));
  const auto querier = TRY(for_listing(storage_.querier(range)));
  const auto names = TRY(for_listing(
      united(selectors, [&](const auto& matchers) { return querier->label_names(matchers); })));
  return string_list(names, limit);
}

Result<HttpResponse> Api::try_label_values(const HttpRequest& request,
                                           std::string_view escaped_name) const {
  const std::string name = unescape_name(escaped_name);
  if (name.empty() || !is_valid_utf8(name)) return invalid("invalid label name: " + quote(name));
  const std::size_t limit = TRY(limit_parameter(request));
  const TimeRange range = TRY(parse_range(request));
  const Selectors selectors =
      TRY(parse_selectors(request, [](const std::string& why) { return invalid(why); }));
  const auto querier = TRY(for_listing(storage_.querier(range)));
  const auto values = TRY(for_listing(united(
      selectors, [&](const auto& matchers) { return querier->label_values(name, matchers); })));
  return string_list(values, limit);
}

std::string unescape_name(std::string_view name) {
  if (!name.starts_with("U__")) return std::string(name);
  std::string out;
  std::string_view rest = name.substr(3);
  while (!rest.empty()) {
    if (rest[0] != '_') {
      out += rest[0];
      rest.remove_prefix(1);
      continue;
    }
    if (rest.starts_with("__")) {
      out += '_';
      rest.remove_prefix(2);
      continue;
    }
    std::size_t end = 1;
    while (end < rest.size() && is_hex(rest[end])) ++end;
    const bool closed = end > 1 && end <= 7 && end < rest.size() && rest[end] == '_';
    unsigned code_point = 0;
    if (closed) std::from_chars(rest.data() + 1, rest.data() + end, code_point, 16);
    if (!closed || !append_utf8(out, code_point)) return std::string(name);
    rest.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace tarsier::query
