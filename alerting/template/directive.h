#pragma once

#include <optional>
#include <string>

#include "alerting/template/value.h"

namespace tarsier::alerting {

/// One `%...` of a format: Go's fmt flags.
struct Directive {
  bool plus = false;
  bool minus = false;
  bool sharp = false;
  bool space = false;
  bool zero = false;
  bool plus_v = false;   // %+v: fields with their names.
  bool sharp_v = false;  // %#v: as Go source.
  std::optional<int> width;
  std::optional<int> precision;
  std::string verb;  // One character, maybe several bytes.
};

/// A value as Go's fmt prints it with this directive.
std::string format_value(const Value& value, const Directive& d);

}  // namespace tarsier::alerting
