#pragma once

#include <string_view>

#include "base/result.h"
#include "tracing/policy/condition_set.h"
#include "tracing/policy/dynamic.h"
#include "tracing/policy/json_fields.h"

namespace tarsier::tracing {

/// A field as Refinery's rules and keys name it: `name`, `duration_ms`, `error`, `status_code`,
/// `span.kind`, `status_message`; anything else is an attribute of the span, or of its resource.
Field rule_field(std::string_view name);

/// Reads `scope` and `conditions` of a rule into its condition bits.
///
///   scope: trace | span       (trace: every condition may be met by another span)
///   conditions: [{field: root.http.route, operator: =, value: /pay, datatype: string}]
///
/// Operators `= != > >= < <= starts-with contains does-not-contain exists not-exists matches in
/// not-in has-root-span`. A condition is met by a span that has what it says: `!=`,
/// `does-not-contain` and `not-in` by a span whose field is another, which in scope trace almost
/// every trace has; `not-exists` in scope trace means that no span has the field.
Status read_rule_conditions(JsonFields& fields, ConditionSet& conditions, RulesPolicy::Rule& rule);

}  // namespace tarsier::tracing
