#include "alerting/payload.h"

#include "base/json_reader.h"
#include "base/json_writer.h"

namespace tarsier::alerting {
namespace {

using Expand = std::function<std::string(std::string_view)>;

/// Whether the text is one JSON value, and not a string.
bool is_other_json(std::string_view text) {
  const Result<JsonValue> value = parse_json(text);
  return value.ok() && value->kind() != JsonKind::kString;
}

void write(JsonWriter& json, const PayloadValue& value, const Expand& expand) {
  switch (value.kind) {
    case PayloadValue::Kind::kJson: json.raw(value.text); return;
    case PayloadValue::Kind::kText: {
      const std::string text = expand(value.text);
      if (is_other_json(text)) {
        json.raw(text);
      } else {
        json.value(text);
      }
      return;
    }
    case PayloadValue::Kind::kList:
      json.begin_array();
      for (const PayloadValue& item : value.items) write(json, item, expand);
      json.end_array();
      return;
    case PayloadValue::Kind::kMap:
      json.begin_object();
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        json.key(expand(value.names[i]));
        write(json, value.items[i], expand);
      }
      json.end_object();
      return;
  }
}

}  // namespace

void PayloadValue::for_each_template(const std::function<void(std::string_view)>& visit) const {
  if (kind == Kind::kText) visit(text);
  for (const PayloadValue& item : items) item.for_each_template(visit);
  for (const std::string& name : names) visit(name);
}

std::string payload_json(const PayloadValue& payload, const Expand& expand) {
  std::string out;
  JsonWriter json(out);
  write(json, payload, expand);
  return out + "\n";
}

}  // namespace tarsier::alerting
