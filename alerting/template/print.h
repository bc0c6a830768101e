#pragma once

#include <span>
#include <string>
#include <string_view>

#include "alerting/template/value.h"

namespace tarsier::alerting {

/// What a value looks like in the output: Go's %v; nothing is `<no value>`.
void print_value(std::string& out, const Value& value);
/// Go's %v: nothing is `<nil>`.
std::string go_text(const Value& value);

/// Go's fmt.Sprint: a space between two neighbours of which neither is a string.
std::string go_sprint(std::span<const Value> values);
std::string go_sprintln(std::span<const Value> values);
/// Go's fmt.Sprintf with its complaints: `%!d(float64=1)`, `%!s(MISSING)`, `%!(EXTRA int=1)`.
/// Widths and precisions beyond 10000 are not followed.
std::string go_sprintf(std::string_view format, std::span<const Value> values);

}  // namespace tarsier::alerting
