#include "tracing/policy/condition_set.h"

#include <algorithm>

#include <fmt/format.h>

namespace tarsier::tracing {
namespace {

constexpr std::size_t kKeysMax = 16;
constexpr std::size_t kKeyValuesMax = 100;  // As Refinery has it.

/// Takes the attributes that have a slot; the first of two with one key counts.
template <typename ForEach>
void read_slots(const std::vector<std::string>& slots, std::vector<FieldValue>& out,
                ForEach for_each) {
  out.assign(slots.size(), std::nullopt);
  for_each([&](std::string_view key, const AttributeValue& value) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] == key && !out[i]) out[i] = value;
    }
  });
}

}  // namespace

void ConditionSet::place(Field& field) {
  using Source = Field::Source;
  const bool is_either = field.source == Source::kSpanOrResource;
  if (!is_either && field.source != Source::kResource && field.source != Source::kSpan &&
      field.source != Source::kEvent) {
    return;
  }
  reads_resource_ |= is_either || field.source == Source::kResource;
  reads_span_ |= is_either || field.source == Source::kSpan;
  const auto found = std::find(slots_.begin(), slots_.end(), field.key);
  field.slot = static_cast<std::uint32_t>(found - slots_.begin());
  if (found == slots_.end()) slots_.push_back(field.key);
}

Result<std::uint32_t> ConditionSet::add(std::string text, Over over, Expression expression) {
  for (std::size_t i = 0; i < conditions_.size(); ++i) {
    if (conditions_[i].text == text) return static_cast<std::uint32_t>(i);
  }
  if (conditions_.size() == kConditionsMax) {
    return limit_exceeded(
        fmt::format("the policies have more than {} different conditions", kConditionsMax));
  }
  visit_fields(expression, [this](Field& field) { place(field); });
  if (over == Over::kEvent) reads_events_ = true;
  conditions_.push_back({std::move(text), over, std::move(expression)});
  return static_cast<std::uint32_t>(conditions_.size() - 1);
}

Result<std::uint32_t> ConditionSet::add_key(std::string text, std::vector<Field> fields) {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i].text == text) return static_cast<std::uint32_t>(i);
  }
  if (keys_.size() == kKeysMax) {
    return limit_exceeded(
        fmt::format("the policies have more than {} different lists of key fields", kKeysMax));
  }
  for (Field& field : fields) place(field);
  keys_.push_back({std::move(text), std::move(fields)});
  return static_cast<std::uint32_t>(keys_.size() - 1);
}

void ConditionSet::read_resource(std::string_view resource, std::vector<FieldValue>& out) const {
  if (!reads_resource_) {
    out.clear();
    return;
  }
  read_slots(slots_, out, [resource](auto visit) { for_each_resource_attribute(resource, visit); });
}

void ConditionSet::read_attributes(const SpanRecord& span, Scratch& scratch) const {
  if (!reads_span_) {
    scratch.attributes.clear();
    return;
  }
  read_slots(slots_, scratch.attributes,
             [&span](auto visit) { for_each_span_attribute(span.wire, visit); });
}

void ConditionSet::match(const SpanRecord& span, std::span<const FieldValue> resource,
                         Scratch& scratch, ConditionBits& bits) const {
  if (conditions_.empty()) return;
  read_attributes(span, scratch);
  const EvaluationInput input{span, resource, scratch.attributes, {}, {}};
  for (std::size_t i = 0; i < conditions_.size(); ++i) {
    const Condition& condition = conditions_[i];
    if (bits[i] || condition.over != Over::kSpan) continue;
    if (evaluate(condition.expression, input)) bits.set(i);
  }
  if (reads_events_) match_events(span, resource, scratch, bits);
}

void ConditionSet::match_events(const SpanRecord& span, std::span<const FieldValue> resource,
                                Scratch& scratch, ConditionBits& bits) const {
  for_each_event(span.wire, [&](const SpanEvent& event) {
    read_slots(slots_, scratch.event,
               [&event](auto visit) { for_each_event_attribute(event.wire, visit); });
    const EvaluationInput input{span, resource, scratch.attributes, scratch.event, event.name};
    for (std::size_t i = 0; i < conditions_.size(); ++i) {
      const Condition& condition = conditions_[i];
      if (bits[i] || condition.over != Over::kEvent) continue;
      if (evaluate(condition.expression, input)) bits.set(i);
    }
  });
}

void ConditionSet::collect_keys(const SpanRecord& span, std::span<const FieldValue> resource,
                                Scratch& scratch,
                                std::vector<std::vector<std::string>>& values) const {
  if (keys_.empty()) return;
  values.resize(keys_.size());
  read_attributes(span, scratch);
  const EvaluationInput input{span, resource, scratch.attributes, {}, {}};
  std::string text;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    for (const Field& field : keys_[i].fields) {
      const FieldValue value = field_value(field, input);
      if (!value) continue;
      text.clear();
      append_text(*value, text);
      const auto at = std::lower_bound(values[i].begin(), values[i].end(), text);
      if (at != values[i].end() && *at == text) continue;
      if (values[i].size() < kKeyValuesMax) values[i].insert(at, text);
    }
  }
}

}  // namespace tarsier::tracing
