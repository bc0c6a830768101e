#include "tracing/store/group_pruning.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "tracing/attribute.h"
#include "tracing/store/bloom_filter.h"
#include "tracing/traceql/value.h"

namespace tarsier::tracing {

using traceql::Attribute;
using traceql::Field;
using traceql::Intrinsic;
using traceql::Op;
using traceql::Scope;
using traceql::Static;
using traceql::StaticType;
using traceql::Value;

namespace {

/// One comparison of an attribute with a literal.
struct Condition {
  const Attribute& attribute;
  Op op;
  const Static& literal;
  const Regex* regex;
};

bool is_number(StaticType type) {
  return type == StaticType::kInt || type == StaticType::kFloat || type == StaticType::kDuration;
}

double number_of(const Static& literal) {
  return literal.type == StaticType::kFloat ? literal.real : static_cast<double>(literal.number);
}

/// Whether some number between the two can stand so to the literal.
bool range_may_hold(double least, double greatest, Op op, double literal) {
  switch (op) {
    case Op::kEqual: return least <= literal && literal <= greatest;
    case Op::kLess: return least < literal;
    case Op::kLessEqual: return least <= literal;
    case Op::kGreater: return greatest > literal;
    case Op::kGreaterEqual: return greatest >= literal;
    default: return true;
  }
}

bool bits_may_hold(std::uint8_t seen, const Condition& c) {
  const auto bit = static_cast<std::uint8_t>(1U << c.literal.number);
  if (c.op == Op::kEqual) return (seen & bit) != 0;
  return (seen & static_cast<std::uint8_t>(~bit)) != 0;
}

bool text_may_be(const ColumnEntry& column, std::string_view text) {
  return column.filter.empty() || filter_may_hold(column.filter, filter_hash(text));
}

/// Resources and scopes are all in the directory: the comparison itself is made. Values that are no
/// plain text or number may be anything.
template <typename Walk>
bool envelopes_may_hold(const std::vector<StoredEnvelope>& envelopes, const Condition& c,
                        std::string_view name, Walk walk) {
  for (const StoredEnvelope& envelope : envelopes) {
    bool holds = false;
    walk(envelope.wire, [&](std::string_view key, const AttributeValue& v) {
      if (key != name) return true;
      if (c.literal.type == StaticType::kNil) {
        holds = true;
      } else if (v.kind == AttributeValue::Kind::kString) {
        holds = traceql::holds(c.op, Value::of_text(v.bytes), value_of(c.literal), c.regex);
      } else {
        holds = true;
      }
      return false;
    });
    if (holds) return true;
  }
  return false;
}

bool resources_may_hold(const GroupDirectory& group, const Condition& c, std::string_view name) {
  return envelopes_may_hold(group.resources, c, name, [](std::string_view wire, auto visit) {
    for_each_resource_attribute(wire, visit);
  });
}

bool span_may_hold(const GroupDirectory& group, const Condition& c) {
  return std::any_of(group.columns.begin(), group.columns.end(), [&](const ColumnEntry& column) {
    if (column.id != ColumnId::kAttribute || group.keys[column.slot.key] != c.attribute.name) {
      return false;
    }
    if (c.literal.type == StaticType::kNil) return true;
    switch (column.slot.type) {
      case StoredType::kString:
        if (c.literal.type != StaticType::kString) return false;
        return c.op != Op::kEqual || text_may_be(column, c.literal.text);
      case StoredType::kBool: return c.literal.type == StaticType::kBool;
      case StoredType::kInt:
        return is_number(c.literal.type) &&
               (!column.has_range ||
                range_may_hold(static_cast<double>(column.least),
                               static_cast<double>(column.greatest), c.op, number_of(c.literal)));
      case StoredType::kDouble: return is_number(c.literal.type);
      case StoredType::kEmpty: return false;
      case StoredType::kWire: return true;
    }
    return true;
  });
}

bool has_key(const GroupDirectory& group, const std::vector<std::uint32_t>& keys,
             std::string_view name) {
  return std::any_of(keys.begin(), keys.end(),
                     [&](std::uint32_t key) { return group.keys[key] == name; });
}

bool attribute_may_hold(const GroupDirectory& group, const Condition& c) {
  const auto scopes = [&] {
    return envelopes_may_hold(
        group.scopes, c, c.attribute.name,
        [](std::string_view wire, auto visit) { for_each_scope_attribute(wire, visit); });
  };
  switch (c.attribute.scope) {
    case Scope::kSpan: return span_may_hold(group, c);
    case Scope::kResource: return resources_may_hold(group, c, c.attribute.name);
    case Scope::kEvent: return has_key(group, group.event_keys, c.attribute.name);
    case Scope::kLink: return has_key(group, group.link_keys, c.attribute.name);
    case Scope::kInstrumentation: return scopes();
    case Scope::kAny: break;
  }
  return span_may_hold(group, c) || resources_may_hold(group, c, c.attribute.name) ||
         has_key(group, group.event_keys, c.attribute.name) ||
         has_key(group, group.link_keys, c.attribute.name) || scopes();
}

bool condition_may_hold(const GroupDirectory& group, const Condition& c, bool knows_roots) {
  // Absence is no news; a parent may lie in another group.
  if (c.attribute.of_parent) return true;
  if (c.literal.type == StaticType::kNil && c.op == Op::kEqual) return true;
  const bool is_equal_text = c.op == Op::kEqual && c.literal.type == StaticType::kString;
  switch (c.attribute.intrinsic) {
    case Intrinsic::kNone: return attribute_may_hold(group, c);
    case Intrinsic::kDuration: {
      const ColumnEntry* column = group.find(ColumnId::kDurations);
      if (column == nullptr || !column->has_range || !is_number(c.literal.type)) return true;
      return range_may_hold(static_cast<double>(column->least),
                            static_cast<double>(column->greatest), c.op, number_of(c.literal));
    }
    case Intrinsic::kStatus:
      return c.literal.type != StaticType::kStatus || bits_may_hold(group.statuses_seen, c);
    case Intrinsic::kKind:
      return c.literal.type != StaticType::kKind || bits_may_hold(group.kinds_seen, c);
    case Intrinsic::kRootName:
      if (!knows_roots) return true;
      [[fallthrough]];
    case Intrinsic::kName: {
      const ColumnEntry* column = group.find(ColumnId::kNames);
      return !is_equal_text || column == nullptr || text_may_be(*column, c.literal.text);
    }
    case Intrinsic::kRootService:
      return !knows_roots || c.literal.type == StaticType::kNil ||
             resources_may_hold(group, c, "service.name");
    default: return true;
  }
}

bool field_may_hold(const GroupDirectory& group, const Field& field, bool knows_roots) {
  if (field.kind != Field::Kind::kBinary) return true;
  const Field& left = field.operands[0];
  const Field& right = field.operands[1];
  if (field.op == Op::kAnd) {
    return field_may_hold(group, left, knows_roots) && field_may_hold(group, right, knows_roots);
  }
  if (field.op == Op::kOr) {
    return field_may_hold(group, left, knows_roots) || field_may_hold(group, right, knows_roots);
  }
  const bool is_condition = is_comparison(field.op) && left.kind == Field::Kind::kAttribute &&
                            right.kind == Field::Kind::kStatic;
  if (!is_condition) return true;
  const Condition condition{.attribute = left.attribute,
                            .op = field.op,
                            .literal = right.value,
                            .regex = field.regex ? &*field.regex : nullptr};
  return condition_may_hold(group, condition, knows_roots);
}

}  // namespace

bool may_match(const GroupDirectory& group, const std::vector<const Field*>& filters,
               bool knows_roots) {
  return std::any_of(filters.begin(), filters.end(), [&](const Field* filter) {
    return field_may_hold(group, *filter, knows_roots);
  });
}

bool is_local(const Field& filter) {
  if (filter.kind == Field::Kind::kAttribute) {
    const Intrinsic i = filter.attribute.intrinsic;
    const bool is_of_tree = i == Intrinsic::kChildCount || i == Intrinsic::kNestedSetLeft ||
                            i == Intrinsic::kNestedSetRight || i == Intrinsic::kNestedSetParent ||
                            i == Intrinsic::kTraceDuration || i == Intrinsic::kRootName ||
                            i == Intrinsic::kRootService;
    return !filter.attribute.of_parent && !is_of_tree;
  }
  return std::all_of(filter.operands.begin(), filter.operands.end(), is_local);
}

}  // namespace tarsier::tracing
