#include <algorithm>
#include <charconv>
#include <cmath>

#include "alerting/template/function.h"
#include "alerting/template/number_functions.h"
#include "alerting/template/print.h"
#include "base/duration.h"
#include "base/number_text.h"
#include "base/quote.h"
#include "base/regex.h"
#include "base/unicode_case.h"
#include "base/utf8.h"

namespace tarsier::alerting {
namespace {

using Arguments = std::span<const Value>;
using Context = FunctionContext;

const ValueType kSampleType{.name = "*template.sample", .is_pointer = true, .methods = {}};
const ValueType kSamplesType{.name = "template.queryResult", .methods = {}};

// Samples ----------------------------------------------------------------------------------------

Result<Value> query(const Context& context, Arguments a) {
  if (!context.query) return invalid("no queries can be made here");
  const std::vector<TemplateSample> samples = TRY(context.query(a[0].as_string(), context.now));
  ValueList list;
  list.reserve(samples.size());
  for (const TemplateSample& sample : samples) list.push_back(sample_value(sample));
  return Value::list(std::move(list), &kSamplesType);
}

Result<Value> first(const Context&, Arguments a) {
  if (a[0].is_none() || a[0].as_list().empty()) {
    return invalid("first() called on vector with no elements");
  }
  return a[0].as_list().front();
}

std::string label_of(const Value& sample, const std::string& name) {
  const ValueMap& labels = sample.field("Labels")->as_map();
  const auto found = labels.find(name);
  return found == labels.end() ? "" : found->second.as_string();
}

Status no_sample() {
  return invalid("runtime error: invalid memory address or nil pointer dereference");
}

Result<Value> label(const Context&, Arguments a) {
  if (a[1].is_none()) return no_sample();
  return Value(label_of(a[1], a[0].as_string()));
}
Result<Value> value(const Context&, Arguments a) {
  if (a[0].is_none()) return no_sample();
  return *a[0].field("Value");
}
Result<Value> strvalue(const Context&, Arguments a) {
  if (a[0].is_none()) return no_sample();
  return Value(label_of(a[0], "__value__"));
}

Result<Value> sort_by_label(const Context&, Arguments a) {
  if (a[1].is_none()) return a[1];
  ValueList sorted = a[1].as_list();
  const std::string& name = a[0].as_string();
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Value& x, const Value& y) {
    return label_of(x, name) < label_of(y, name);
  });
  return Value::list(std::move(sorted), &kSamplesType);
}

Result<Value> args(const Context&, Arguments a) {
  ValueMap map;
  for (std::size_t i = 0; i < a.size(); ++i) map.emplace("arg" + std::to_string(i), a[i]);
  return Value::map(std::move(map));
}

// Text -------------------------------------------------------------------------------------------

Result<Value> identity(const Context&, Arguments a) { return a[0]; }
Result<Value> title(const Context&, Arguments a) { return Value(title_case(a[0].as_string())); }
Result<Value> upper(const Context&, Arguments a) { return Value(to_upper_case(a[0].as_string())); }
Result<Value> lower(const Context&, Arguments a) { return Value(to_lower_case(a[0].as_string())); }
Result<Value> url_query_escape(const Context&, Arguments a) {
  return Value(query_escape(a[0].as_string()));
}
Result<Value> graph_link(const Context&, Arguments a) {
  return Value("/graph?g0.expr=" + query_escape(a[0].as_string()) + "&g0.tab=0");
}
Result<Value> table_link(const Context&, Arguments a) {
  return Value("/graph?g0.expr=" + query_escape(a[0].as_string()) + "&g0.tab=1");
}

struct HostPort {
  std::string host;
  std::string port;
};

/// `host:port` or `[v6]:port`; nothing else has two parts.
std::optional<HostPort> split_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  if (host.find_first_of("[]") != std::string_view::npos) return std::nullopt;
  const std::string_view port = text.substr(colon + 1);
  if (port.find_first_of("[]") != std::string_view::npos) return std::nullopt;
  return HostPort{std::string(host), std::string(port)};
}

bool is_address(std::string_view host) {
  if (host.find(':') != std::string_view::npos) {
    return host.find_first_not_of("0123456789abcdefABCDEF:.%") == std::string_view::npos;
  }
  int parts = 0;
  while (!host.empty()) {
    const std::size_t dot = std::min(host.find('.'), host.size());
    const std::string_view part = host.substr(0, dot);
    int number = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || stop != part.data() + part.size() || number > 255) return false;
    ++parts;
    if (dot == host.size()) break;
    host.remove_prefix(dot + 1);
  }
  return parts == 4;
}

Result<Value> strip_port(const Context&, Arguments a) {
  const auto split = split_host_port(a[0].as_string());
  return split ? Value(split->host) : a[0];
}

Result<Value> strip_domain(const Context&, Arguments a) {
  const std::string& text = a[0].as_string();
  const auto split = split_host_port(text);
  const std::string host = split ? split->host : text;
  if (is_address(host)) return a[0];
  std::string out = host.substr(0, host.find('.'));
  if (split) out += ":" + split->port;
  return Value(std::move(out));
}

// Numbers ----------------------------------------------------------------------------------------

template <std::string (*kFormat)(double)>
Result<Value> format_number(const Context&, Arguments a) {
  return Value(kFormat(TRY(to_number(a[0]))));
}

Result<Value> timestamp_text(const Context&, Arguments a) {
  const double seconds = TRY(to_number(a[0]));
  return Value(TRY(humanize_timestamp(seconds)));
}

Result<std::int64_t> nanoseconds(double seconds) {
  if (!std::isfinite(seconds)) return invalid("value is NaN or Inf");
  const double ns = seconds * 1e9;
  if (ns >= 9.223372036854775807e18 || ns <= -9.223372036854775808e18) {
    return invalid(short_number(seconds) +
                   " cannot be represented as a nanoseconds timestamp since it overflows int64");
  }
  return static_cast<std::int64_t>(ns);
}

Result<Value> to_time(const Context&, Arguments a) {
  const double seconds = TRY(to_number(a[0]));
  const std::int64_t ns = TRY(nanoseconds(seconds));
  return Value(go_time(Timestamp{ns / 1'000'000}));
}
Result<Value> to_duration(const Context&, Arguments a) {
  const double seconds = TRY(to_number(a[0]));
  return Value(GoDuration{TRY(nanoseconds(seconds))});
}
Result<Value> now(const Context& context, Arguments) {
  return Value(static_cast<double>(context.now.ms) / 1000);
}

Result<Value> duration_seconds(const Context&, Arguments a) {
  std::string_view text = a[0].as_string();
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const Duration duration = TRY(parse_duration(text));
  const double seconds = static_cast<double>(duration.ms) / 1000;
  return Value(negative ? -seconds : seconds);
}

Result<Value> external_url(const Context& context, Arguments) {
  return Value(context.external_url);
}
Result<Value> path_prefix(const Context& context, Arguments) {
  const std::string& url = context.external_url;
  const std::size_t scheme = url.find("://");
  const std::size_t path = url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  return Value(path == std::string::npos ? "" : url.substr(path));
}

Result<Value> tmpl(const Context& context, Arguments a) {
  return Value(TRY(context.expand(a[0].as_string(), a[1])));
}

FunctionTable make_table() {
  constexpr ArgumentType kAny = ArgumentType::kAny;
  constexpr ArgumentType kString = ArgumentType::kString;
  constexpr ArgumentType kSamples = ArgumentType::kSamples;
  constexpr ArgumentType kSample = ArgumentType::kSample;
  FunctionTable table = builtin_functions();
  table["query"] = {{kString}, false, query};
  table["first"] = {{kSamples}, false, first};
  table["label"] = {{kString, kSample}, false, label};
  table["value"] = {{kSample}, false, value};
  table["strvalue"] = {{kSample}, false, strvalue};
  table["sortByLabel"] = {{kString, kSamples}, false, sort_by_label};
  table["args"] = {{kAny}, true, args};
  table["safeHtml"] = {{kString}, false, identity};
  table["title"] = {{kString}, false, title};
  table["toUpper"] = {{kString}, false, upper};
  table["toLower"] = {{kString}, false, lower};
  table["match"] = {{kString, kString}, false, match_function};
  table["reReplaceAll"] = {{kString, kString, kString}, false, replace_function};
  table["urlQueryEscape"] = {{kString}, false, url_query_escape};
  table["graphLink"] = {{kString}, false, graph_link};
  table["tableLink"] = {{kString}, false, table_link};
  table["stripPort"] = {{kString}, false, strip_port};
  table["stripDomain"] = {{kString}, false, strip_domain};
  table["humanize"] = {{kAny}, false, format_number<humanize>};
  table["humanize1024"] = {{kAny}, false, format_number<humanize_1024>};
  table["humanizeDuration"] = {{kAny}, false, format_number<humanize_seconds>};
  table["humanizePercentage"] = {{kAny}, false, format_number<humanize_percentage>};
  table["humanizeTimestamp"] = {{kAny}, false, timestamp_text};
  table["toTime"] = {{kAny}, false, to_time};
  table["toDuration"] = {{kAny}, false, to_duration};
  table["now"] = {{}, false, now};
  table["parseDuration"] = {{kString}, false, duration_seconds};
  table["externalURL"] = {{}, false, external_url};
  table["pathPrefix"] = {{}, false, path_prefix};
  table["tmpl"] = {{kString, kAny}, false, tmpl};
  return table;
}

bool is_letter_byte(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

}  // namespace

const FunctionTable& rule_functions() {
  static const FunctionTable table = make_table();
  return table;
}

Value sample_value(const TemplateSample& sample) {
  ValueFields fields;
  fields.emplace_back("Labels", Value::labels(sample.labels));
  fields.emplace_back("Value", sample.histogram ? Value(*sample.histogram) : Value(sample.value));
  return Value::structure(std::move(fields), &kSampleType);
}

Result<double> to_number(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kInt: return static_cast<double>(value.as_int());
    case ValueKind::kFloat: return value.as_float();
    case ValueKind::kDuration: return static_cast<double>(value.as_duration().ns) / 1e9;
    case ValueKind::kString: {
      const std::string& text = value.as_string();
      std::string_view digits = text;
      if (digits.starts_with('+')) digits.remove_prefix(1);
      double number = 0;
      const char* end = digits.data() + digits.size();
      const auto [stop, error] = std::from_chars(digits.data(), end, number);
      if (error == std::errc() && stop == end && !digits.starts_with('+')) return number;
      if (error == std::errc::result_out_of_range) {
        return invalid("strconv.ParseFloat: parsing " + quote(text) + ": value out of range");
      }
      return invalid("strconv.ParseFloat: parsing " + quote(text) + ": invalid syntax");
    }
    default: return invalid("can't convert " + std::string(value.type_name()) + " to float");
  }
}

std::string humanize_duration(double seconds) { return humanize_seconds(seconds); }

std::string title_case(std::string_view text) {
  std::string out;
  bool wants_capital = true;  // The first letter of a word, wherever it stands: "1st" is "1St".
  while (!text.empty()) {
    const std::size_t size = std::max<std::size_t>(1, utf8_sequence_size(text));
    const std::string_view c = text.substr(0, size);
    if (wants_capital) {
      out += to_upper_case(c);
    } else {
      out += c;
    }
    // "it's" and "a.b" are one word each.
    const bool joins = (c == "'" || c == "." || c == ":") && !wants_capital && text.size() > 1 &&
                       is_letter_byte(text[1]) && is_letter_byte(out[out.size() - 2]);
    if (is_letter_byte(c[0])) {
      wants_capital = false;
    } else if (!is_word_byte(c[0]) && !joins) {
      wants_capital = true;
    }
    text.remove_prefix(size);
  }
  return out;
}

Result<Value> match_function(const FunctionContext&, std::span<const Value> a) {
  const SearchRegex regex = TRY(SearchRegex::compile(a[0].as_string()));
  return Value(regex.search(a[1].as_string()));
}

Result<Value> replace_function(const FunctionContext&, std::span<const Value> a) {
  const std::string& pattern = a[0].as_string();
  const Result<SearchRegex> compiled = SearchRegex::compile(pattern);
  if (!compiled.ok()) {  // The text of the panic that it is in Go.
    const bool has_backquote = pattern.find('`') != std::string::npos;
    return invalid("regexp: Compile(" + (has_backquote ? quote(pattern) : "`" + pattern + "`") +
                   "): " + compiled.status().message());
  }
  const SearchRegex& regex = *compiled;
  return Value(regex.replace_all(a[2].as_string(), a[1].as_string()));
}

}  // namespace tarsier::alerting
