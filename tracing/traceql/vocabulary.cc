#include "tracing/traceql/vocabulary.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/ascii.h"

namespace tarsier::tracing::traceql {
namespace {

struct IntrinsicName {
  std::string_view name;
  Intrinsic intrinsic;
};

// The first name of an intrinsic is the one that is printed.
constexpr std::array kIntrinsics = {
    IntrinsicName{"duration", Intrinsic::kDuration},
    IntrinsicName{"name", Intrinsic::kName},
    IntrinsicName{"status", Intrinsic::kStatus},
    IntrinsicName{"statusMessage", Intrinsic::kStatusMessage},
    IntrinsicName{"kind", Intrinsic::kKind},
    IntrinsicName{"parent", Intrinsic::kParent},
    IntrinsicName{"rootName", Intrinsic::kRootName},
    IntrinsicName{"rootServiceName", Intrinsic::kRootService},
    IntrinsicName{"traceDuration", Intrinsic::kTraceDuration},
    IntrinsicName{"nestedSetLeft", Intrinsic::kNestedSetLeft},
    IntrinsicName{"nestedSetRight", Intrinsic::kNestedSetRight},
    IntrinsicName{"nestedSetParent", Intrinsic::kNestedSetParent},
    IntrinsicName{"trace:duration", Intrinsic::kTraceDuration},
    IntrinsicName{"trace:rootName", Intrinsic::kRootName},
    IntrinsicName{"trace:rootService", Intrinsic::kRootService},
    IntrinsicName{"trace:id", Intrinsic::kTraceId},
    IntrinsicName{"span:duration", Intrinsic::kDuration},
    IntrinsicName{"span:name", Intrinsic::kName},
    IntrinsicName{"span:kind", Intrinsic::kKind},
    IntrinsicName{"span:status", Intrinsic::kStatus},
    IntrinsicName{"span:statusMessage", Intrinsic::kStatusMessage},
    IntrinsicName{"span:id", Intrinsic::kSpanId},
    IntrinsicName{"span:parentID", Intrinsic::kParentId},
    IntrinsicName{"span:childCount", Intrinsic::kChildCount},
    IntrinsicName{"event:name", Intrinsic::kEventName},
    IntrinsicName{"event:timeSinceStart", Intrinsic::kEventTimeSinceStart},
    IntrinsicName{"link:traceID", Intrinsic::kLinkTraceId},
    IntrinsicName{"link:spanID", Intrinsic::kLinkSpanId},
    IntrinsicName{"instrumentation:name", Intrinsic::kInstrumentationName},
    IntrinsicName{"instrumentation:version", Intrinsic::kInstrumentationVersion},
};

constexpr std::array<std::string_view, 6> kScopes = {"",      "span", "resource",
                                                     "event", "link", "instrumentation"};
constexpr std::array<std::string_view, 3> kStatuses = {"unset", "ok", "error"};
constexpr std::array<std::string_view, 6> kKinds = {"unspecified", "internal", "server",
                                                    "client",      "producer", "consumer"};
constexpr std::array<std::string_view, 18> kOps = {
    "+",  "-", "*",  "/",  "%",  "^",  "=",  "!=", "<",
    "<=", ">", ">=", "=~", "!~", "&&", "||", "!",  "-"};
constexpr std::array<std::string_view, 5> kAggregates = {"count", "avg", "max", "min", "sum"};
constexpr std::array<std::string_view, 9> kFunctions = {
    "rate",          "count_over_time",     "min_over_time",      "max_over_time", "avg_over_time",
    "sum_over_time", "histogram_over_time", "quantile_over_time", "compare"};

template <typename Table>
std::optional<std::size_t> index_in(const Table& table, std::string_view name) {
  const auto it = std::find(table.begin(), table.end(), name);
  if (it == table.end()) return std::nullopt;
  return static_cast<std::size_t>(it - table.begin());
}

struct Unit {
  std::string_view name;
  double nanoseconds;
};
// Longer names first: "ms" is no minute.
constexpr std::array kUnits = {Unit{"ns", 1},          Unit{"us", 1e3},         Unit{"µs", 1e3},
                               Unit{"μs", 1e3},        Unit{"ms", 1e6},         Unit{"s", 1e9},
                               Unit{"m", 60e9},        Unit{"h", 3600e9},       Unit{"d", 86400e9},
                               Unit{"w", 7 * 86400e9}, Unit{"y", 365 * 86400e9}};

void append_attribute_name(std::string& out, std::string_view name, bool must_quote) {
  const bool is_plain = !must_quote && std::none_of(name.begin(), name.end(), [](char c) {
    return ends_attribute_name(c) || c == '"' || c == '\\';
  });
  if (is_plain) {
    out += name;
    return;
  }
  out += '"';
  for (const char c : name) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace

std::optional<Intrinsic> intrinsic_named(std::string_view name) {
  for (const IntrinsicName& known : kIntrinsics) {
    if (known.name == name) return known.intrinsic;
  }
  return std::nullopt;
}

std::string_view intrinsic_name(Intrinsic intrinsic) {
  for (const IntrinsicName& known : kIntrinsics) {
    if (known.intrinsic == intrinsic) return known.name;
  }
  return "";
}

std::optional<Scope> scope_named(std::string_view name) {
  const auto index = index_in(kScopes, name);
  if (!index || name.empty()) return std::nullopt;
  return static_cast<Scope>(*index);
}

std::string_view scope_name(Scope scope) { return kScopes[static_cast<std::size_t>(scope)]; }

std::optional<Static> keyword_literal(std::string_view word) {
  if (word == "true") return Static{.type = StaticType::kBool, .number = 1};
  if (word == "false") return Static{.type = StaticType::kBool};
  if (word == "nil") return Static{};
  if (word == "minInt") {
    return Static{.type = StaticType::kInt, .number = std::numeric_limits<std::int64_t>::min()};
  }
  if (word == "maxInt") {
    return Static{.type = StaticType::kInt, .number = std::numeric_limits<std::int64_t>::max()};
  }
  if (const auto status = index_in(kStatuses, word)) {
    return Static{.type = StaticType::kStatus, .number = static_cast<std::int64_t>(*status)};
  }
  if (const auto kind = index_in(kKinds, word)) {
    return Static{.type = StaticType::kKind, .number = static_cast<std::int64_t>(*kind)};
  }
  return std::nullopt;
}

std::string_view status_text(std::int64_t status) {
  const auto index = static_cast<std::size_t>(status);
  return index < kStatuses.size() ? kStatuses[index] : kStatuses[0];
}

std::string_view kind_text(std::int64_t kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kKinds.size() ? kKinds[index] : kKinds[0];
}

std::string_view op_text(Op op) { return kOps[static_cast<std::size_t>(op)]; }
std::string_view aggregate_name(Aggregate aggregate) {
  return kAggregates[static_cast<std::size_t>(aggregate)];
}
std::string_view function_name(MetricsFunction function) {
  return kFunctions[static_cast<std::size_t>(function)];
}

std::optional<Aggregate> aggregate_named(std::string_view name) {
  const auto index = index_in(kAggregates, name);
  if (!index) return std::nullopt;
  return static_cast<Aggregate>(*index);
}

std::optional<MetricsFunction> function_named(std::string_view name) {
  const auto index = index_in(kFunctions, name);
  if (!index) return std::nullopt;
  return static_cast<MetricsFunction>(*index);
}

std::string go_duration(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  const bool is_negative = nanoseconds < 0;
  std::uint64_t left = is_negative ? -static_cast<std::uint64_t>(nanoseconds)
                                   : static_cast<std::uint64_t>(nanoseconds);
  std::string out = is_negative ? "-" : "";
  const auto with_fraction = [&](std::uint64_t value, std::uint64_t unit, int digits,
                                 std::string_view name) {
    out += std::to_string(value / unit);
    std::string fraction = std::to_string(value % unit);
    fraction.insert(0, static_cast<std::size_t>(digits) - fraction.size(), '0');
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    if (!fraction.empty()) out += "." + fraction;
    out += name;
  };
  if (left < 1000) return out + std::to_string(left) + "ns";
  if (left < 1'000'000) {
    with_fraction(left, 1000, 3, "µs");
    return out;
  }
  if (left < 1'000'000'000) {
    with_fraction(left, 1'000'000, 6, "ms");
    return out;
  }
  const std::uint64_t minutes = left / 60'000'000'000U;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  with_fraction(left % 60'000'000'000U, 1'000'000'000, 9, "s");
  return out;
}

std::optional<std::int64_t> parse_duration_ns(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total = 0;
  std::int64_t exact = 0;
  bool is_exact = true;
  while (!text.empty()) {
    double number = 0;
    std::int64_t whole = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !(number >= 0)) return std::nullopt;
    const std::string_view digits(text.data(), static_cast<std::size_t>(end - text.data()));
    const auto [whole_end, whole_error] = std::from_chars(text.data(), end, whole);
    text.remove_prefix(digits.size());
    const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                   [&](const Unit& u) { return text.starts_with(u.name); });
    if (unit == kUnits.end()) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += number * unit->nanoseconds;
    std::int64_t product = 0;
    is_exact =
        is_exact && whole_error == std::errc{} && whole_end == end &&
        !__builtin_mul_overflow(whole, static_cast<std::int64_t>(unit->nanoseconds), &product) &&
        !__builtin_add_overflow(exact, product, &exact);
  }
  if (is_exact) return exact;
  if (!(total < 9.2e18)) return std::nullopt;
  return std::llround(total);
}

bool ends_attribute_name(char c) {
  return static_cast<unsigned char>(c) <= ' ' ||
         std::string_view("{}()=~!<>&|^,").find(c) != std::string_view::npos;
}

std::string attribute_text(const Attribute& attribute) {
  if (attribute.intrinsic != Intrinsic::kNone) {
    return std::string(intrinsic_name(attribute.intrinsic));
  }
  std::string out;
  if (attribute.of_parent) out += "parent.";
  const bool is_any = attribute.scope == Scope::kAny;
  if (!is_any) {
    out += scope_name(attribute.scope);
    out += '.';
  } else if (!attribute.of_parent) {
    out += '.';
  }
  // What would be read as something else: a number, or the scope of a parent's attribute.
  const std::string_view name = attribute.name;
  const bool is_number = !name.empty() && name[0] >= '0' && name[0] <= '9' && is_any;
  const bool is_scope =
      attribute.of_parent && is_any && (name.starts_with("span.") || name.starts_with("resource."));
  append_attribute_name(out, name, is_number || is_scope || name.empty());
  return out;
}

}  // namespace tarsier::tracing::traceql
