#include "alerting/alert_history_api.h"

#include <utility>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "query/parse.h"

namespace tarsier::alerting {
namespace {

constexpr std::size_t kDefaultLimit = 100;

Result<AlertEventFilter> read_filter(const HttpRequest& request) {
  AlertEventFilter filter{.limit = kDefaultLimit};
  if (const auto id = request.parameter("id"); id && !id->empty()) {
    filter.id = parse_fingerprint(*id);
    if (!filter.id) return invalid_parameter("id", "not a fingerprint of 16 hex digits");
  }
  for (const std::string_view text : request.parameter_values("match[]")) {
    Result<std::vector<tsdb::Matcher>> parsed = query::parse_metric_selector(text);
    if (!parsed.ok()) return invalid_parameter("match[]", parsed.status().message());
    for (tsdb::Matcher& matcher : *parsed) filter.matchers.push_back(std::move(matcher));
  }
  filter.begin = TRY(optional_time(request, "start", kMinTimestamp));
  filter.end = TRY(optional_time(request, "end", kMaxTimestamp));
  if (request.parameter("limit")) filter.limit = TRY(limit_parameter(request));
  return filter;
}

void write_event(JsonWriter& json, const AlertEvent& event, const AlertLabelling& labelling) {
  json.begin_object()
      .field("at", format_rfc3339_ms(event.at))
      .field("id", alert_id(event.labels, labelling).to_string())
      .field("event", alert_event_name(event.kind));
  if (event.reason != ResolveReason::kNone) {
    json.field("reason", resolve_reason_text(event.reason));
  }
  json.key("labels").begin_object();
  for (const tsdb::LabelView label : event.labels) json.key(label.name).value(label.value);
  json.end_object().field("owner", event.owner).end_object();
}

}  // namespace

HttpResponse alert_history_response(
    const HttpRequest& request, const std::shared_ptr<const AlertLabelling>& labelling,
    const std::function<std::vector<AlertEvent>(const AlertEventFilter&)>& find) {
  Result<AlertEventFilter> filter = read_filter(request);
  if (!filter.ok()) return api_error(filter.status());
  filter->labelling = labelling;
  const std::vector<AlertEvent> events = find(*filter);
  // Nothing in this span is an answer, a mistyped id is none.
  if (events.empty() && filter->id &&
      find({.id = filter->id, .labelling = labelling, .limit = 1}).empty()) {
    return api_error(ApiErrorType::kNotFound,
                     "nothing is known of an alert " + filter->id->to_string());
  }
  return api_success([&](JsonWriter& json) {
    json.begin_object().key("events").begin_array();
    for (const AlertEvent& event : events) write_event(json, event, *labelling);
    json.end_array().end_object();
  });
}

}  // namespace tarsier::alerting
