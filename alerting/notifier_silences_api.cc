#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "alerting/notifier/answer.h"
#include "alerting/notifier/posted.h"
#include "alerting/notifier_api.h"
#include "base/json_reader.h"
#include "base/quote.h"
#include "base/rfc3339.h"

// Silences in version 2 of Alertmanager's API.

namespace tarsier::alerting {
namespace {

void write_silence(JsonWriter& json, const Silence& silence, Timestamp now) {
  json.begin_object()
      .field("id", silence.id)
      .key("status")
      .begin_object()
      .field("state", silence_state_name(silence.state_at(now)))
      .end_object()
      .field("updatedAt", format_rfc3339_ms(silence.updated_at))
      .field("comment", silence.comment)
      .field("createdBy", silence.created_by)
      .field("endsAt", format_rfc3339_ms(silence.ends_at));
  json.key("matchers").begin_array();
  for (const tsdb::Matcher& matcher : silence.matchers) {
    const bool is_regex =
        matcher.op() == tsdb::MatchOp::kRegex || matcher.op() == tsdb::MatchOp::kNotRegex;
    json.begin_object()
        .field("isEqual", !matcher.is_negative())
        .field("isRegex", is_regex)
        .field("name", matcher.name())
        .field("value", matcher.value())
        .end_object();
  }
  json.end_array().field("startsAt", format_rfc3339_ms(silence.starts_at)).end_object();
}

bool is_uuid(std::string_view id) {
  if (id.size() != 36) return false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const bool is_dash_place = i == 8 || i == 13 || i == 18 || i == 23;
    const bool is_hex = std::isxdigit(static_cast<unsigned char>(id[i])) != 0;
    if (is_dash_place ? id[i] != '-' : !is_hex) return false;
  }
  return true;
}

/// As Alertmanager's router has it.
HttpResponse not_a_uuid(std::string_view id) {
  HttpResponse response = v2_response([&](JsonWriter& json) {
    json.begin_object()
        .field("code", std::uint64_t{601})
        .field("message", "silenceID in path must be of type uuid: " + quote(id))
        .end_object();
  });
  response.status = 422;
  return response;
}

}  // namespace

HttpResponse NotifierApi::silences(const HttpRequest& request) const {
  const Result<std::vector<tsdb::Matcher>> wanted = v2_matchers(request, "filter");
  if (!wanted.ok()) return v2_failure(wanted.status());
  const Timestamp now = request.received;
  std::vector<Silence> all = notifier_.silences();
  // A filter asks for silences with that very matcher.
  std::erase_if(all, [&](const Silence& silence) {
    return !std::all_of(wanted->begin(), wanted->end(), [&](const tsdb::Matcher& filter) {
      return std::find(silence.matchers.begin(), silence.matchers.end(), filter) !=
             silence.matchers.end();
    });
  });
  const auto rank = [&](const Silence& silence) {
    switch (silence.state_at(now)) {
      case SilenceState::kActive: return 0;
      case SilenceState::kPending: return 1;
      case SilenceState::kExpired: return 2;
    }
    return 2;
  };
  std::sort(all.begin(), all.end(), [&](const Silence& a, const Silence& b) {
    const int x = rank(a);
    const int y = rank(b);
    if (x != y) return x < y;
    if (x == 1) return a.starts_at < b.starts_at;
    return x == 0 ? a.ends_at < b.ends_at : a.ends_at > b.ends_at;
  });
  return v2_response([&](JsonWriter& json) {
    json.begin_array();
    for (const Silence& silence : all) write_silence(json, silence, now);
    json.end_array();
  });
}

HttpResponse NotifierApi::post_silence(const HttpRequest& request) const {
  const Result<JsonValue> body = parse_json(request.body, {.depth_max = 8});
  if (!body.ok()) return v2_failure(400, "parsing silence body failed: " + body.status().message());
  Result<Silence> silence = read_posted_silence(*body);
  if (!silence.ok()) return v2_failure(400, silence.status().message());
  const Result<std::string> id = notifier_.set_silence(std::move(*silence), request.received);
  if (!id.ok()) return v2_failure(id.status());
  return v2_response(
      [&](JsonWriter& json) { json.begin_object().field("silenceID", *id).end_object(); });
}

HttpResponse NotifierApi::silence(const HttpRequest& request, const std::string& id) const {
  if (!is_uuid(id)) return not_a_uuid(id);
  const std::optional<Silence> silence = notifier_.silence(id);
  if (!silence) return v2_failure(404, "silence " + id + " not found");
  return v2_response([&](JsonWriter& json) { write_silence(json, *silence, request.received); });
}

HttpResponse NotifierApi::delete_silence(const HttpRequest& request, const std::string& id) const {
  if (!is_uuid(id)) return not_a_uuid(id);
  const Status status = notifier_.expire_silence(id, request.received);
  if (!status.ok()) return v2_failure(status);
  HttpResponse response;
  return response;
}

}  // namespace tarsier::alerting
