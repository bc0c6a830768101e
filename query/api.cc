#include "query/api.h"

#include <algorithm>
#include <vector>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/quote.h"
#include "query/monitor.h"
#include "query/parse.h"
#include "query/parse/printer.h"
#include "query/plan/plan.h"
#include "query/resolution.h"
#include "query/result_cache.h"
#include "query/result_json.h"
#include "query/result_stream.h"
#include "query/syntax_tree_json.h"

namespace tarsier::query {
namespace {

using Selectors = std::vector<std::vector<tsdb::Matcher>>;

Result<Duration> parse_lookback(const HttpRequest& request) {
  const std::string_view text = request.parameter("lookback_delta").value_or("");
  if (text.empty()) return Duration{0};
  const auto parsed = parse_api_duration(text);
  if (!parsed.ok()) {
    return invalid("error parsing lookback delta duration: " + parsed.status().message());
  }
  return *parsed;
}

Result<ResolutionWish> parse_resolution(const HttpRequest& request) {
  const char* const name = "max_source_resolution";
  const auto wish = parse_resolution_wish(request.parameter(name).value_or(""));
  if (!wish.ok()) return invalid_parameter(name, wish.status().message());
  return wish;
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

/// What the asker does not want to be exceeded: parameters under discussion in Prometheus.
Status read_ceilings(const HttpRequest& request, QueryRequest& query, Duration& timeout) {
  const auto read = [&](const char* name, std::uint64_t& ceiling) -> Status {
    const auto parsed = parse_api_limit(request.parameter(name).value_or(""));
    if (!parsed.ok()) return invalid_parameter(name, parsed.status().message());
    ceiling = *parsed;
    return {};
  };
  TRY(read("max_series", query.series_ceiling));
  TRY(read("max_samples_scanned", query.samples_ceiling));
  const auto longest = TRY(optional_duration(request, "max_query_duration"));
  if (longest) timeout = std::min(timeout, *longest);
  return {};
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
  TRY(read_ceilings(request, question.query, question.timeout));
  question.query.resolution = TRY(parse_resolution(request));
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
  TRY(read_ceilings(request, query, question.timeout));
  query.resolution = TRY(parse_resolution(request));
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
  question.query.analyzes = stats == "all";
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

}  // namespace tarsier::query
