#include "tracing/policy/json_fields.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "base/quote.h"

namespace tarsier::tracing {
namespace {

const JsonValue& empty_map() {
  static const JsonValue kEmpty = parse_json("{}").value();
  return kEmpty;
}

}  // namespace

JsonFields::JsonFields(const JsonValue& map, std::string path)
    : map_(map.is_null() ? empty_map() : map), path_(std::move(path)) {
  if (map_.kind() != JsonKind::kObject) status_ = invalid(path_ + ": expected a map");
  known_.resize(map_.keys().size());
}

std::string JsonFields::path_of(std::string_view name) const {
  return fmt::format("{}.{}", path_, name);
}

const JsonValue* JsonFields::find(std::string_view name) {
  if (!status_.ok()) return nullptr;
  const JsonValue* found = nullptr;
  for (std::size_t i = 0; i < map_.keys().size(); ++i) {
    if (map_.keys()[i] != name) continue;
    known_[i] = true;
    found = &map_.items()[i];
  }
  return found == nullptr || found->is_null() ? nullptr : found;
}

void JsonFields::note(std::string_view name, const Status& problem) {
  if (status_.ok() && !problem.ok()) {
    status_ = invalid(fmt::format("{}: {}", path_of(name), problem.message()));
  }
}

const JsonValue* JsonFields::list(std::string_view name) {
  const JsonValue* found = find(name);
  if (found == nullptr || found->kind() == JsonKind::kArray) return found;
  note(name, invalid("expected a list"));
  return nullptr;
}

JsonFields JsonFields::section(std::string_view name) {
  const JsonValue* found = find(name);
  return JsonFields(found ? *found : empty_map(), path_of(name));
}

void JsonFields::read(std::string_view name, std::string& out) {
  const JsonValue* found = find(name);
  if (found == nullptr) return;
  const Result<std::string> text = found->as_string();
  note(name, text.status());
  if (text.ok()) out = *text;
}

void JsonFields::read(std::string_view name, bool& out) {
  const JsonValue* found = find(name);
  if (found == nullptr) return;
  const Result<bool> v = found->as_bool();
  note(name, v.status());
  if (v.ok()) out = *v;
}

void JsonFields::read(std::string_view name, double& out) {
  const JsonValue* found = find(name);
  if (found == nullptr) return;
  const Result<double> v = found->as_double();
  note(name, v.status());
  if (v.ok()) out = *v;
}

void JsonFields::read(std::string_view name, std::uint64_t& out) {
  std::optional<std::uint64_t> v;
  read(name, v);
  if (v) out = *v;
}

void JsonFields::read(std::string_view name, std::optional<std::uint64_t>& out) {
  const JsonValue* found = find(name);
  if (found == nullptr) return;
  const Result<std::uint64_t> v = found->as_uint64();
  note(name, v.status());
  // Limits are multiplied on; beyond this they would overflow, and mean the same.
  if (v.ok() && *v > (std::uint64_t{1} << 43)) note(name, invalid("is too large"));
  if (v.ok()) out = *v;
}

void JsonFields::read(std::string_view name, std::optional<std::int64_t>& out) {
  const JsonValue* found = find(name);
  if (found == nullptr) return;
  const Result<std::int64_t> v = found->as_int64();
  note(name, v.status());
  if (v.ok()) out = *v;
}

void JsonFields::read(std::string_view name, Duration& out) {
  const JsonValue* found = find(name);
  if (found == nullptr) return;
  if (found->kind() == JsonKind::kNumber) {
    const Result<std::int64_t> v = found->as_int64();
    note(name, v.status());
    if (v.ok() && (*v < 0 || *v > 86'400 * 365)) {
      note(name, invalid("is out of range"));
    } else if (v.ok()) {
      out = seconds(*v);
    }
    return;
  }
  const Result<std::string> text = found->as_string();
  note(name, text.status());
  if (!text.ok()) return;
  const Result<Duration> v = parse_duration(*text);
  note(name, v.status());
  if (v.ok()) out = *v;
}

void JsonFields::read(std::string_view name, std::vector<std::string>& out) {
  const JsonValue* found = list(name);
  if (found == nullptr) return;
  out.clear();
  for (const JsonValue& item : found->items()) {
    const Result<std::string> text = item.as_string();
    note(name, text.status());
    if (text.ok()) out.push_back(*text);
  }
}

Status JsonFields::fail(std::string_view why) const {
  if (!status_.ok()) return status_;
  return invalid(fmt::format("{}: {}", path_, why));
}

Status JsonFields::finish() {
  for (std::size_t i = 0; i < known_.size() && status_.ok(); ++i) {
    if (!known_[i]) status_ = fail("unknown field " + quote(map_.keys()[i]));
  }
  return status_;
}

}  // namespace tarsier::tracing
