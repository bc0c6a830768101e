#include "tracing/jaeger_api.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/quote.h"
#include "tracing/jaeger_json.h"
#include "tracing/tempo_time.h"
#include "tracing/trace_json.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {
namespace {

constexpr std::size_t kLimitDefault = 100;
constexpr std::size_t kLimitMax = 10'000;
constexpr std::int64_t kDayMs = 86'400'000;
/// Traces one answer holds in full; a list beyond it ends there.
constexpr std::size_t kAnswerBytesMax = std::size_t{256} << 20;

struct Failure {
  int status = 400;
  std::string text;
  std::string trace_id = {};
};

Failure failure_of(const Status& status) {
  switch (status.code()) {
    case Code::kInvalid:
    case Code::kLimit: return {.status = 400, .text = status.message()};
    case Code::kNotFound: return {.status = 404, .text = status.message()};
    case Code::kTimeout: return {.status = 504, .text = status.message()};
    default: return {.status = 500, .text = status.message()};
  }
}

HttpResponse failed(const Failure& failure) {
  HttpResponse out{.status = failure.status};
  JsonWriter json(out.body);
  json.begin_object().key("data").null();
  json.field("total", 0).field("limit", 0).field("offset", 0).key("errors").begin_array();
  json.begin_object().field("code", failure.status).field("msg", failure.text);
  if (!failure.trace_id.empty()) json.field("traceID", failure.trace_id);
  json.end_object().end_array().end_object();
  return out;
}

HttpResponse failed_v3(const Failure& failure) {
  HttpResponse out{.status = failure.status};
  JsonWriter json(out.body);
  json.begin_object().key("error").begin_object().field("httpCode", failure.status);
  json.field("message", failure.text).end_object().end_object();
  return out;
}

/// The envelope of the older API around whatever `write` writes.
HttpResponse wrapped(std::size_t total, const std::function<void(JsonWriter&)>& write) {
  HttpResponse out;
  JsonWriter json(out.body);
  json.begin_object().key("data");
  write(json);
  json.field("total", std::uint64_t{total}).field("limit", 0).field("offset", 0);
  json.key("errors").null().end_object();
  return out;
}

std::string_view text_parameter(const HttpRequest& request, std::string_view name) {
  return request.parameter(name).value_or("");
}

/// The first that is there: newer and older spellings of one parameter.
std::string_view first_parameter(const HttpRequest& request,
                                 std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const auto value = request.parameter(name); value && !value->empty()) return *value;
  }
  return "";
}

template <typename T>
Result<T> whole_number(std::string_view name, std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return invalid(fmt::format("unable to parse param '{}': {}", name, quote(text)));
  }
  return out;
}

bool is_number(const std::string& text) {
  double v = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), v, std::chars_format::fixed);
  return error == std::errc{} && end == text.data() + text.size() && text[0] != '-';
}

/// Jaeger's tags are texts; what is stored has types.
std::string tag_condition(const std::string& key, const std::string& value) {
  if (key == "error" && value == "true") return "status = error";
  if (key == "span.kind" && traceql::keyword_literal(value)) return "kind = " + value;
  if (key == "otel.status_code" && value == "ERROR") return "status = error";
  if (key == "otel.status_code" && value == "OK") return "status = ok";
  if (key == "otel.status_description") return "statusMessage = " + quote(value);
  if (key == "otel.scope.name") return "instrumentation:name = " + quote(value);
  const std::string name = traceql::attribute_text({.name = key});
  std::string out = name + " = " + quote(value);
  if (is_number(value) || value == "true" || value == "false") out += " || " + name + " = " + value;
  return "(" + out + ")";
}

/// What both generations ask for.
struct FindTraces {
  std::string service;
  std::string operation;
  std::vector<std::pair<std::string, std::string>> tags;
  std::string duration_min;
  std::string duration_max;
  NanosRange range;
  std::size_t limit = kLimitDefault;
};

Result<SearchRequest> search_of(const FindTraces& wanted) {
  std::vector<std::string> conditions;
  if (!wanted.service.empty()) {
    conditions.push_back("resource.service.name = " + quote(wanted.service));
  }
  if (!wanted.operation.empty()) conditions.push_back("name = " + quote(wanted.operation));
  for (const auto& [key, value] : wanted.tags) conditions.push_back(tag_condition(key, value));
  const auto add_duration = [&](const std::string& text, std::string_view op) -> Status {
    if (text.empty()) return {};
    const auto ns = traceql::parse_duration_ns(text);
    if (!ns) return invalid(fmt::format("cannot parse duration: {}", quote(text)));
    conditions.push_back(fmt::format("duration {} {}ns", op, *ns));
    return {};
  };
  TRY(add_duration(wanted.duration_min, ">="));
  TRY(add_duration(wanted.duration_max, "<="));
  SearchRequest out{.range = wanted.range, .limit = wanted.limit, .spans_per_set = 1};
  out.query = "{";
  for (const std::string& condition : conditions) {
    out.query += (out.query.size() > 1 ? " && " : " ") + condition;
  }
  out.query += " }";
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> tags_of_json(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  if (text.empty()) return out;
  const Result<JsonValue> json = parse_json(text);
  if (!json.ok() || json->kind() != JsonKind::kObject) {
    return invalid("malformed 'tags' parameter, cannot unmarshal JSON: " + std::string(text));
  }
  for (std::size_t i = 0; i < json->items().size(); ++i) {
    Result<std::string> value = json->items()[i].as_string();
    if (!value.ok()) return invalid("malformed 'tags' parameter: values must be strings");
    out.emplace_back(json->keys()[i], std::move(*value));
  }
  return out;
}

Result<FindTraces> find_of_legacy(const HttpRequest& request) {
  FindTraces out{.service = std::string(text_parameter(request, "service")),
                 .operation = std::string(text_parameter(request, "operation")),
                 .tags = TRY(tags_of_json(text_parameter(request, "tags"))),
                 .duration_min = std::string(text_parameter(request, "minDuration")),
                 .duration_max = std::string(text_parameter(request, "maxDuration"))};
  if (out.service.empty()) return invalid("parameter 'service' is required");
  if (out.operation == "all") out.operation.clear();
  for (const std::string_view tag : request.parameter_values("tag")) {
    const std::size_t colon = tag.find(':');
    if (colon == std::string_view::npos) {
      return invalid(
          fmt::format("malformed 'tag' parameter, expecting key:value, received: {}", tag));
    }
    out.tags.emplace_back(tag.substr(0, colon), tag.substr(colon + 1));
  }
  if (const std::string_view limit = text_parameter(request, "limit"); !limit.empty()) {
    out.limit = std::min(TRY(whole_number<std::size_t>("limit", limit)), kLimitMax);
    if (out.limit == 0) out.limit = kLimitDefault;
  }
  if (const std::string_view start = text_parameter(request, "start"); !start.empty()) {
    out.range.begin_ns = TRY(whole_number<std::uint64_t>("start", start)) * 1000;
  }
  if (const std::string_view end = text_parameter(request, "end"); !end.empty()) {
    out.range.end_ns = TRY(whole_number<std::uint64_t>("end", end)) * 1000;
  }
  return out;
}

Result<FindTraces> find_of_v3(const HttpRequest& request) {
  FindTraces out{
      .service = std::string(first_parameter(request, {"query.serviceName", "query.service_name"})),
      .operation =
          std::string(first_parameter(request, {"query.operationName", "query.operation_name"})),
      .tags = TRY(tags_of_json(text_parameter(request, "query.attributes"))),
      .duration_min =
          std::string(first_parameter(request, {"query.durationMin", "query.duration_min"})),
      .duration_max =
          std::string(first_parameter(request, {"query.durationMax", "query.duration_max"}))};
  const auto time = [&](std::string_view name, std::string_view text) -> Result<UnixNanos> {
    const Result<std::int64_t> ns = parse_tempo_time_ns(text);
    if (text.empty() || !ns.ok()) return invalid(fmt::format("malformed parameter {}", name));
    return static_cast<UnixNanos>(*ns);
  };
  out.range.begin_ns =
      TRY(time("query.startTimeMin",
               first_parameter(request, {"query.startTimeMin", "query.start_time_min"})));
  out.range.end_ns =
      TRY(time("query.startTimeMax",
               first_parameter(request, {"query.startTimeMax", "query.start_time_max"})));
  const std::string_view depth =
      first_parameter(request, {"query.searchDepth", "query.search_depth", "query.num_traces"});
  if (!depth.empty()) {
    out.limit = std::min(TRY(whole_number<std::size_t>("query.searchDepth", depth)), kLimitMax);
  }
  if (out.limit == 0) return invalid("query.searchDepth must be positive");
  return out;
}

std::optional<SpanKind> kind_of(std::string_view name) {
  for (int i = 1; i <= 5; ++i) {
    if (jaeger_kind(static_cast<SpanKind>(i)) == name) return static_cast<SpanKind>(i);
  }
  return std::nullopt;
}

void write_operations(JsonWriter& json, const std::vector<ServiceOperation>& operations,
                      std::string_view kind) {
  const std::optional<SpanKind> wanted = kind_of(kind);
  json.begin_array();
  for (const ServiceOperation& operation : operations) {
    if (wanted && operation.kind != *wanted) continue;
    json.begin_object().field("name", operation.name);
    json.field("spanKind", jaeger_kind(operation.kind)).end_object();
  }
  json.end_array();
}

}  // namespace

HttpResponse JaegerApi::services() const {
  const Result<std::vector<std::string>> services = queries_.services();
  if (!services.ok()) return failed(failure_of(services.status()));
  return wrapped(services->size(), [&](JsonWriter& json) {
    json.begin_array();
    for (const std::string& service : *services) json.value(service);
    json.end_array();
  });
}

HttpResponse JaegerApi::operation_names(const std::string& service) const {
  const Result<std::vector<ServiceOperation>> operations = queries_.operations(service);
  if (!operations.ok()) return failed(failure_of(operations.status()));
  std::set<std::string> names;
  for (const ServiceOperation& operation : *operations) names.insert(operation.name);
  return wrapped(names.size(), [&](JsonWriter& json) {
    json.begin_array();
    for (const std::string& name : names) json.value(name);
    json.end_array();
  });
}

HttpResponse JaegerApi::operations(const HttpRequest& request) const {
  const std::string service(text_parameter(request, "service"));
  if (service.empty()) return failed({.text = "parameter 'service' is required"});
  const Result<std::vector<ServiceOperation>> operations = queries_.operations(service);
  if (!operations.ok()) return failed(failure_of(operations.status()));
  return wrapped(operations->size(), [&](JsonWriter& json) {
    write_operations(json, *operations, text_parameter(request, "spanKind"));
  });
}

HttpResponse JaegerApi::traces(const HttpRequest& request) const {
  std::vector<TraceId> ids;
  const std::vector<std::string_view> wanted_ids = request.parameter_values("traceID");
  for (const std::string_view text : wanted_ids) {
    const std::optional<TraceId> id = parse_trace_id(text);
    if (!id) return failed({.text = fmt::format("cannot parse traceID param: {}", quote(text))});
    ids.push_back(*id);
  }
  if (ids.empty()) {
    const Result<FindTraces> wanted = find_of_legacy(request);
    if (!wanted.ok()) return failed(failure_of(wanted.status()));
    const Result<SearchRequest> search = search_of(*wanted);
    if (!search.ok()) return failed(failure_of(search.status()));
    const Result<SearchAnswer> answer = queries_.search(*search, *request.cancel);
    if (!answer.ok()) return failed(failure_of(answer.status()));
    for (const MatchedTrace& trace : answer->traces) ids.push_back(trace.id);
  }
  std::size_t total = 0;
  std::string traces;
  JsonWriter list(traces);
  list.begin_array();
  for (const TraceId id : ids) {
    const WholeTrace trace = queries_.find(id);
    if (trace.spans.empty() || traces.size() > kAnswerBytesMax) continue;
    write_jaeger_trace(list, trace);
    ++total;
  }
  list.end_array();
  return wrapped(total, [&](JsonWriter& json) { json.raw(traces); });
}

HttpResponse JaegerApi::trace(const std::string& text) const {
  const std::optional<TraceId> id = parse_trace_id(text);
  if (!id) return failed({.text = fmt::format("cannot parse traceID: {}", quote(text))});
  const WholeTrace trace = queries_.find(*id);
  if (trace.spans.empty()) {
    return failed({.status = 404, .text = "trace not found", .trace_id = to_hex(*id)});
  }
  return wrapped(1, [&](JsonWriter& json) {
    json.begin_array();
    write_jaeger_trace(json, trace);
    json.end_array();
  });
}

HttpResponse JaegerApi::dependencies(const HttpRequest& request) const {
  std::int64_t end_ms = request.received.ms;
  std::int64_t lookback_ms = kDayMs;
  for (const auto& [name, value] : {std::pair("endTs", &end_ms), {"lookback", &lookback_ms}}) {
    const std::string_view text = text_parameter(request, name);
    if (text.empty()) continue;
    const Result<std::int64_t> n = whole_number<std::int64_t>(name, text);
    if (!n.ok()) return failed(failure_of(n.status()));
    *value = std::clamp<std::int64_t>(*n, 0, std::int64_t{1} << 43);
  }
  const std::int64_t begin_ms = std::max<std::int64_t>(end_ms - lookback_ms, 0);
  const Result<std::vector<ServiceCall>> calls =
      queries_.dependencies({.begin_ns = static_cast<UnixNanos>(begin_ms) * 1'000'000,
                             .end_ns = static_cast<UnixNanos>(end_ms) * 1'000'000});
  if (!calls.ok()) return failed(failure_of(calls.status()));
  return wrapped(calls->size(), [&](JsonWriter& json) {
    json.begin_array();
    for (const ServiceCall& call : *calls) {
      json.begin_object().field("parent", call.caller).field("child", call.callee);
      json.field("callCount", call.count).end_object();
    }
    json.end_array();
  });
}

HttpResponse JaegerApi::services_v3() const {
  const Result<std::vector<std::string>> services = queries_.services();
  if (!services.ok()) return failed_v3(failure_of(services.status()));
  HttpResponse out;
  JsonWriter json(out.body);
  json.begin_object().key("services").begin_array();
  for (const std::string& service : *services) json.value(service);
  json.end_array().end_object();
  return out;
}

HttpResponse JaegerApi::operations_v3(const HttpRequest& request) const {
  const std::string service(text_parameter(request, "service"));
  if (service.empty()) return failed_v3({.text = "malformed parameter service: it is required"});
  const Result<std::vector<ServiceOperation>> operations = queries_.operations(service);
  if (!operations.ok()) return failed_v3(failure_of(operations.status()));
  HttpResponse out;
  JsonWriter json(out.body);
  json.begin_object().key("operations");
  write_operations(json, *operations, first_parameter(request, {"spanKind", "span_kind"}));
  json.end_object();
  return out;
}

HttpResponse JaegerApi::traces_v3(const HttpRequest& request) const {
  const Result<FindTraces> wanted = find_of_v3(request);
  if (!wanted.ok()) return failed_v3(failure_of(wanted.status()));
  const Result<SearchRequest> search = search_of(*wanted);
  if (!search.ok()) return failed_v3(failure_of(search.status()));
  const Result<SearchAnswer> answer = queries_.search(*search, *request.cancel);
  if (!answer.ok()) return failed_v3(failure_of(answer.status()));
  std::string bytes;
  for (const MatchedTrace& trace : answer->traces) {
    if (bytes.size() > kAnswerBytesMax) break;
    bytes += encode_trace(queries_.find(trace.id));
  }
  if (bytes.empty()) return failed_v3({.status = 404, .text = "No traces found"});
  HttpResponse out;
  JsonWriter json(out.body);
  json.begin_object().key("result").begin_object().key("resourceSpans");
  write_resource_spans(json, bytes, TraceJsonForm::kOtlp);
  json.end_object().end_object();
  return out;
}

HttpResponse JaegerApi::trace_v3(const std::string& text) const {
  const std::optional<TraceId> id = parse_trace_id(text);
  if (!id) return failed_v3({.text = "malformed parameter trace_id: " + quote(text)});
  const WholeTrace trace = queries_.find(*id);
  if (trace.spans.empty()) return failed_v3({.status = 404, .text = "No traces found"});
  HttpResponse out;
  JsonWriter json(out.body);
  json.begin_object().key("result").begin_object().key("resourceSpans");
  write_resource_spans(json, encode_trace(trace), TraceJsonForm::kOtlp);
  json.end_object().end_object();
  return out;
}

HttpResponse JaegerApi::summaries_v3(const HttpRequest& request) const {
  const Result<FindTraces> wanted = find_of_v3(request);
  if (!wanted.ok()) return failed_v3(failure_of(wanted.status()));
  const Result<SearchRequest> search = search_of(*wanted);
  if (!search.ok()) return failed_v3(failure_of(search.status()));
  const Result<SearchAnswer> answer = queries_.search(*search, *request.cancel);
  if (!answer.ok()) return failed_v3(failure_of(answer.status()));
  HttpResponse out;
  JsonWriter json(out.body);
  json.begin_object().key("summaries").begin_array();
  for (const MatchedTrace& trace : answer->traces) {
    std::uint64_t spans = 0;
    std::uint64_t errors = 0;
    for (const auto& [service, counts] : trace.services) {
      spans += counts.spans;
      errors += counts.errors;
    }
    json.begin_object().field("traceId", to_hex(trace.id));
    json.field("rootServiceName", trace.root_service).field("rootOperationName", trace.root_name);
    json.field("minStartTimeUnixNano", std::to_string(trace.start_ns));
    json.field("maxEndTimeUnixNano", std::to_string(trace.start_ns + trace.duration_ns));
    json.field("spanCount", spans).field("errorSpanCount", errors);
    json.field("orphanSpanCount", std::uint64_t{trace.orphans}).key("services").begin_array();
    for (const auto& [service, counts] : trace.services) {
      json.begin_object().field("name", service).field("spanCount", std::uint64_t{counts.spans});
      json.field("errorSpanCount", std::uint64_t{counts.errors}).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return out;
}

}  // namespace tarsier::tracing
