#include "tracing/tempo_api.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/protobuf_writer.h"
#include "base/quote.h"
#include "tracing/tempo_json.h"
#include "tracing/tempo_time.h"
#include "tracing/trace_json.h"
#include "tracing/traceql/vocabulary.h"

namespace tarsier::tracing {
namespace {

constexpr std::int64_t kNanosPerMs = 1'000'000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::size_t kTagValuesDefault = 5000;
constexpr std::size_t kExemplarsMax = 100;

HttpResponse plain(int status, std::string text) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::move(text)};
}

HttpResponse refused(const Status& status) {
  switch (status.code()) {
    case Code::kInvalid:
    case Code::kLimit: return plain(400, status.message());
    case Code::kNotFound: return plain(404, status.message());
    case Code::kCancelled: return plain(499, status.message());
    case Code::kTimeout: return plain(504, status.message());
    default: return plain(500, status.message());
  }
}

template <typename T>
Result<T> whole_number(std::string_view name, std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return invalid(fmt::format("invalid {}: {}", name, text));
  }
  return out;
}

std::string_view text_parameter(const HttpRequest& request, std::string_view name) {
  return request.parameter(name).value_or("");
}

/// `start` and `end` in seconds; either one needs the other.
Result<NanosRange> seconds_range(const HttpRequest& request) {
  const std::string_view start = text_parameter(request, "start");
  const std::string_view end = text_parameter(request, "end");
  NanosRange out;
  if (start.empty() && end.empty()) return out;
  const std::uint32_t first = start.empty() ? 0 : TRY(whole_number<std::uint32_t>("start", start));
  const std::uint32_t last = end.empty() ? 0 : TRY(whole_number<std::uint32_t>("end", end));
  if (first == 0 && last == 0) return out;
  if (last <= first) {
    return invalid("http parameter start must be before end. received start=" +
                   std::to_string(first) + " end=" + std::to_string(last));
  }
  out.begin_ns = UnixNanos{first} * kNanosPerSecond;
  out.end_ns = UnixNanos{last} * kNanosPerSecond;
  return out;
}

/// For names and values a half-typed editor asks with whatever it has.
NanosRange lenient_range(const HttpRequest& request) {
  const Result<NanosRange> range = seconds_range(request);
  return range.ok() ? *range : NanosRange();
}

std::size_t lenient_limit(const HttpRequest& request) {
  const Result<std::size_t> limit =
      whole_number<std::size_t>("limit", text_parameter(request, "limit"));
  return limit.ok() && *limit > 0 ? *limit : kTagValuesDefault;
}

/// Hex of any case and length up to 32 digits.
std::optional<TraceId> id_of_path(std::string_view text) {
  while (!text.empty() && text.front() == '0') text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  return parse_trace_id(text);
}

HttpResponse json(std::string body) { return {.body = std::move(body)}; }

bool wants_protobuf(const HttpRequest& request) {
  return request.header("Accept").find("application/protobuf") != std::string_view::npos;
}

HttpResponse protobuf(std::string body) {
  return {.content_type = "application/protobuf", .body = std::move(body)};
}

std::string unscoped(std::string_view tag) {
  return tag.starts_with('.') ? std::string(tag) : "." + std::string(tag);
}

}  // namespace

HttpResponse TempoApi::echo() { return plain(200, "echo"); }

HttpResponse TempoApi::build_info() const {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object()
      .field("version", options_.version)
      .field("revision", "")
      .field("branch", "");
  writer.field("buildDate", "").field("buildUser", "").field("goVersion", "").end_object();
  return json(std::move(out));
}

HttpResponse TempoApi::trace_v1(const HttpRequest& request, const std::string& id) const {
  const std::optional<TraceId> wanted = id_of_path(id);
  if (!wanted) return plain(400, "trace IDs can only contain hex characters");
  const WholeTrace trace = queries_.find(*wanted);
  if (trace.spans.empty()) return plain(404, "trace not found");
  std::string bytes = encode_trace(trace);
  if (bytes.size() > options_.trace_bytes_max) {
    return plain(422,
                 fmt::format("trace exceeds max size (max bytes: {})", options_.trace_bytes_max));
  }
  if (wants_protobuf(request)) return protobuf(std::move(bytes));
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().key("batches");
  write_resource_spans(writer, bytes, TraceJsonForm::kTempo);
  writer.end_object();
  return json(std::move(out));
}

HttpResponse TempoApi::trace_v2(const HttpRequest& request, const std::string& id) const {
  const std::optional<TraceId> wanted = id_of_path(id);
  if (!wanted) return plain(400, "trace IDs can only contain hex characters");
  WholeTrace trace = queries_.find(*wanted);
  if (trace.spans.empty()) return plain(404, "trace not found");
  std::string message = trace.problem;
  std::size_t size = 0;
  std::size_t kept = 0;
  while (kept < trace.spans.size() && size <= options_.trace_bytes_max) {
    size += trace.spans[kept++].span.size();
  }
  if (size > options_.trace_bytes_max && kept < trace.spans.size()) {
    message =
        fmt::format("trace exceeds max size: {} of {} spans are shown", kept, trace.spans.size());
    trace.spans.resize(kept);
  }
  const std::string bytes = encode_trace(trace);
  std::string out;
  if (wants_protobuf(request)) {
    ProtobufWriter fields(out);
    fields.bytes(1, bytes);
    std::string metrics;
    ProtobufWriter(metrics).varint(1, bytes.size());
    fields.bytes(2, metrics);
    if (!message.empty()) {
      fields.varint(3, 1);
      fields.bytes(4, message);
    }
    return protobuf(std::move(out));
  }
  JsonWriter writer(out);
  writer.begin_object().key("trace").begin_object().key("resourceSpans");
  write_resource_spans(writer, bytes, TraceJsonForm::kTempo);
  writer.end_object();
  writer.key("metrics").begin_object();
  writer.field("inspectedBytes", std::to_string(bytes.size())).end_object();
  if (!message.empty()) writer.field("status", "PARTIAL").field("message", message);
  writer.end_object();
  return json(std::move(out));
}

Result<SearchRequest> TempoApi::search_request(const HttpRequest& request) const {
  SearchRequest out;
  const std::string q(text_parameter(request, "q"));
  std::string tags(text_parameter(request, "tags"));
  if (!q.empty() && !tags.empty()) {
    return invalid("invalid request: can't specify tags and q in the same query");
  }
  const bool has_known =
      !q.empty() || !tags.empty() || request.parameter("start") || request.parameter("end");
  if (!has_known) {
    // The oldest Grafana sends tags as parameters of their own.
    const std::set<std::string_view> known = {"limit",       "spss", "minDuration",
                                              "maxDuration", "q",    "tags"};
    for (const auto& [name, value] : request.parameters) {
      if (!known.contains(name)) tags += (tags.empty() ? "" : " ") + name + "=" + quote(value);
    }
  }
  const std::string min_duration(text_parameter(request, "minDuration"));
  const std::string max_duration(text_parameter(request, "maxDuration"));
  out.query = q.empty() ? TRY(traceql_of_tags(tags, min_duration, max_duration)) : q;
  if (const std::string_view limit = text_parameter(request, "limit"); !limit.empty()) {
    const std::int64_t n = TRY(whole_number<std::int64_t>("limit", limit));
    if (n <= 0) return invalid("invalid limit: must be a positive number");
    if (static_cast<std::uint64_t>(n) > options_.limit_max) {
      return invalid(fmt::format("invalid limit: must be at most {}", options_.limit_max));
    }
    out.limit = static_cast<std::size_t>(n);
  }
  if (const std::string_view spss = text_parameter(request, "spss"); !spss.empty()) {
    out.spans_per_set = TRY(whole_number<std::size_t>("spss", spss));
    if (out.spans_per_set == 0) return invalid("invalid spss: must be a positive number");
    if (out.spans_per_set > options_.spans_per_set_max) {
      return invalid(fmt::format("spans per span set exceeds {}. received {}",
                                 options_.spans_per_set_max, out.spans_per_set));
    }
  }
  out.range = TRY(seconds_range(request));
  const bool is_bounded = out.range.begin_ns != 0 || out.range.end_ns != NanosRange().end_ns;
  const auto range_max =
      static_cast<UnixNanos>(options_.search_range_max.ms) * static_cast<UnixNanos>(kNanosPerMs);
  if (is_bounded && out.range.end_ns - out.range.begin_ns > range_max) {
    return invalid(
        fmt::format("range specified by start and end exceeds {}. received start={} end={}",
                    traceql::go_duration(static_cast<std::int64_t>(range_max)),
                    text_parameter(request, "start"), text_parameter(request, "end")));
  }
  return out;
}

HttpResponse TempoApi::search(const HttpRequest& request) const {
  const Result<SearchRequest> wanted = search_request(request);
  if (!wanted.ok()) return refused(wanted.status());
  const Result<SearchAnswer> answer = queries_.search(*wanted, *request.cancel);
  if (!answer.ok()) return refused(answer.status());
  return json(tempo_search_json(*answer));
}

HttpResponse TempoApi::tags_v1(const HttpRequest& request) const {
  const Result<std::vector<TagNames>> tags = queries_.tags(lenient_range(request));
  if (!tags.ok()) return refused(tags.status());
  return json(tempo_tags_v1_json(*tags));
}

HttpResponse TempoApi::tags_v2(const HttpRequest& request) const {
  const std::string_view scope = text_parameter(request, "scope");
  const bool is_known = scope.empty() || scope == "all" || scope == "none" ||
                        scope == "intrinsic" || traceql::scope_named(scope);
  if (!is_known) return plain(400, "invalid scope: " + std::string(scope));
  const Result<std::vector<TagNames>> tags = queries_.tags(lenient_range(request));
  if (!tags.ok()) return refused(tags.status());
  return json(tempo_tags_v2_json(*tags, scope == "all" || scope == "none" ? "" : scope,
                                 lenient_limit(request)));
}

HttpResponse TempoApi::tag_values_v1(const HttpRequest& request, const std::string& tag) const {
  // The old form has names without a scope.
  const std::string name = traceql::intrinsic_named(tag) ? tag
                           : tag == "root.name"          ? "rootName"
                           : tag == "root.service.name"  ? "rootServiceName"
                           : tag == "status.code"        ? "status"
                                                         : unscoped(tag);
  const Result<std::vector<TagValue>> values = queries_.tag_values(
      name, "", lenient_range(request), lenient_limit(request), *request.cancel);
  if (!values.ok()) return refused(values.status());
  return json(tempo_tag_values_v1_json(*values));
}

HttpResponse TempoApi::tag_values_v2(const HttpRequest& request, const std::string& tag) const {
  const Result<std::vector<TagValue>> values =
      queries_.tag_values(tag, std::string(text_parameter(request, "q")), lenient_range(request),
                          lenient_limit(request), *request.cancel);
  if (!values.ok()) return refused(values.status());
  return json(tempo_tag_values_v2_json(*values));
}

Result<MetricsRequest> TempoApi::metrics_request(const HttpRequest& request) const {
  MetricsRequest out;
  out.query = request.parameter("q").value_or(text_parameter(request, "query"));
  if (out.query.empty()) return invalid("invalid request: q is missing");
  const std::int64_t now_ns = request.received.ms * kNanosPerMs;
  const std::string_view start = text_parameter(request, "start");
  const std::string_view end = text_parameter(request, "end");
  const std::string_view since = text_parameter(request, "since");
  out.end_ns = end.empty() ? now_ns : TRY(parse_tempo_time_ns(end));
  out.start_ns = start.empty()
                     ? out.end_ns - TRY(parse_tempo_duration_ns(since.empty() ? "1h" : since))
                     : TRY(parse_tempo_time_ns(start));
  if (out.end_ns <= out.start_ns) return invalid("end must be after start");
  if (out.end_ns - out.start_ns > options_.metrics_range_max.ms * kNanosPerMs) {
    return invalid(
        fmt::format("metrics query time range exceeds the maximum allowed duration of {}",
                    traceql::go_duration(options_.metrics_range_max.ms * kNanosPerMs)));
  }
  if (const std::string_view n = text_parameter(request, "exemplars"); !n.empty()) {
    out.exemplars_max = std::min(TRY(whole_number<std::size_t>("exemplars", n)), kExemplarsMax);
  }
  if (const std::string_view n = text_parameter(request, "maxSeries"); !n.empty()) {
    const std::size_t wanted = TRY(whole_number<std::size_t>("maxSeries", n));
    if (wanted > 0) out.series_max = std::min(wanted, out.series_max);
  }
  return out;
}

HttpResponse TempoApi::metrics_range(const HttpRequest& request) const {
  Result<MetricsRequest> wanted = metrics_request(request);
  if (!wanted.ok()) return refused(wanted.status());
  const std::string_view step = text_parameter(request, "step");
  if (step.empty()) {
    wanted->step_ns = default_metrics_step_ns(wanted->end_ns - wanted->start_ns);
  } else {
    const Result<std::int64_t> parsed = parse_tempo_duration_ns(step);
    if (!parsed.ok()) return refused(parsed.status());
    if (*parsed <= 0) return plain(400, "step must be positive");
    wanted->step_ns = *parsed;
  }
  const Result<MetricsAnswer> answer = queries_.metrics(*wanted, *request.cancel);
  if (!answer.ok()) return refused(answer.status());
  return json(tempo_range_json(*answer));
}

HttpResponse TempoApi::metrics_instant(const HttpRequest& request) const {
  const Result<MetricsRequest> wanted = metrics_request(request);
  if (!wanted.ok()) return refused(wanted.status());
  const Result<MetricsAnswer> answer = queries_.metrics(*wanted, *request.cancel);
  if (!answer.ok()) return refused(answer.status());
  return json(tempo_instant_json(*answer));
}

}  // namespace tarsier::tracing
