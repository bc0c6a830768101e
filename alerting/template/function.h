#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/template/value.h"
#include "alerting/template_text.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::alerting {

/// What a function takes at one place; the executor refuses anything else before the call.
enum class ArgumentType : unsigned char {
  kAny,
  kString,
  kInt,
  kTime,
  kStringList,
  kSamples,  ///< What `query` gives.
  kSample,   ///< What `first` gives.
};
/// As Go's %T shows it.
std::string_view argument_type_name(ArgumentType type);

/// What functions may know beside their arguments.
struct FunctionContext {
  Timestamp now;
  std::string external_url;
  TemplateQuery query;
  /// Expands the template of that name with a value; set by the executor.
  std::function<Result<std::string>(const std::string& name, const Value& data)> expand;
  /// The route label of that name as messages say it; empty when there is none. Notifications only.
  std::function<Result<std::string>(const std::string& name)> route_label;
};

/// One function of a template. Its error is the text after `error calling <name>: `.
struct TemplateFunction {
  std::vector<ArgumentType> arguments;
  bool variadic = false;  ///< The last type may come any number of times.
  Result<Value> (*call)(const FunctionContext& context, std::span<const Value> arguments);
};
using FunctionTable = std::map<std::string_view, TemplateFunction>;

/// Go's own: and, or, not, eq, len, index, slice, print, printf, html, ...
const FunctionTable& builtin_functions();
/// Those and what Prometheus adds for rules.
const FunctionTable& rule_functions();
/// The builtins and what Alertmanager adds for notifications.
const FunctionTable& notification_functions();

// What several tables share.

/// A number, duration or string that reads as a number.
Result<double> to_number(const Value& value);
std::string humanize_duration(double seconds);
/// The first letter of every word in upper case.
std::string title_case(std::string_view text);
/// As in a URL's query: a space is `+`.
std::string query_escape(std::string_view text);
Result<Value> match_function(const FunctionContext& context, std::span<const Value> arguments);
Result<Value> replace_function(const FunctionContext& context, std::span<const Value> arguments);

/// One sample as templates see it, and a list of them.
Value sample_value(const TemplateSample& sample);

}  // namespace tarsier::alerting
