#include "alerting/notifier/posted.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "alerting/template/go_time.h"
#include "base/rfc3339.h"

namespace tarsier::alerting {
namespace {

Result<std::string> optional_text(const JsonValue& object, std::string_view name) {
  const JsonValue* value = object.find(name);
  if (value == nullptr || value->is_null()) return std::string();
  return value->as_string();
}

Result<Timestamp> optional_time(const JsonValue& object, std::string_view name) {
  const std::string text = TRY(optional_text(object, name));
  if (text.empty()) return Timestamp{0};
  const std::optional<Timestamp> t = parse_rfc3339(text);
  if (!t) return invalid(std::string(name) + " is not a time: \"" + text + "\"");
  // Go's zero time means that there is none.
  return t->ms == kGoZeroSeconds * 1000 ? Timestamp{0} : *t;
}

Result<tsdb::Matcher> read_matcher(const JsonValue& object) {
  const auto boolean = [&](std::string_view name, bool fallback) -> Result<bool> {
    const JsonValue* value = object.find(name);
    if (value == nullptr || value->is_null()) return fallback;
    return value->as_bool();
  };
  const bool is_regex = TRY(boolean("isRegex", false));
  const bool is_equal = TRY(boolean("isEqual", true));
  const tsdb::MatchOp op = is_regex ? (is_equal ? tsdb::MatchOp::kRegex : tsdb::MatchOp::kNotRegex)
                                    : (is_equal ? tsdb::MatchOp::kEqual : tsdb::MatchOp::kNotEqual);
  std::string name = TRY(optional_text(object, "name"));
  if (name.empty())
    return invalid("silence invalid: invalid label matcher: invalid label name \"\"");
  return tsdb::Matcher::create(op, std::move(name), TRY(optional_text(object, "value")));
}

}  // namespace

Result<Alert> read_posted_alert(const JsonValue& object) {
  Alert alert;
  const JsonValue* labels = object.find("labels");
  if (labels == nullptr || labels->kind() != JsonKind::kObject) {
    return invalid("labels in body is required");
  }
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < labels->items().size(); ++i) {
    builder.set(labels->keys()[i], TRY(labels->items()[i].as_string()));
  }
  alert.labels = builder.build();
  if (const JsonValue* annotations = object.find("annotations");
      annotations != nullptr && !annotations->is_null()) {
    if (annotations->kind() != JsonKind::kObject) {
      return invalid("annotations in body must be an object");
    }
    for (std::size_t i = 0; i < annotations->items().size(); ++i) {
      alert.annotations.emplace_back(annotations->keys()[i],
                                     TRY(annotations->items()[i].as_string()));
    }
    std::sort(alert.annotations.begin(), alert.annotations.end());
  }
  alert.starts_at = TRY(optional_time(object, "startsAt"));
  alert.ends_at = TRY(optional_time(object, "endsAt"));
  alert.generator_url = TRY(optional_text(object, "generatorURL"));
  return alert;
}

Result<Silence> read_posted_silence(const JsonValue& object) {
  Silence silence;
  silence.id = TRY(optional_text(object, "id"));
  silence.created_by = TRY(optional_text(object, "createdBy"));
  silence.comment = TRY(optional_text(object, "comment"));
  silence.starts_at = TRY(optional_time(object, "startsAt"));
  silence.ends_at = TRY(optional_time(object, "endsAt"));
  if (const JsonValue* matchers = object.find("matchers"); matchers != nullptr) {
    for (const JsonValue& matcher : matchers->items()) {
      silence.matchers.push_back(TRY(read_matcher(matcher)));
    }
  }
  return silence;
}

}  // namespace tarsier::alerting
