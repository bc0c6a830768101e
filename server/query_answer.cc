#include "server/query_answer.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/number_text.h"
#include "server/cli_ask.h"
#include "tsdb/labels.h"

namespace tarsier::server {
namespace {

/// Nothing for `+Inf` and what is no number: that is printed as it came.
std::optional<double> number_of(const std::string& text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(v)) return {};
  return v;
}

Result<std::string> text_of(const JsonValue* value) {
  if (!value) return invalid("the answer is not Prometheus'");
  return value->as_string();
}

/// `1 @[1700000000.123]` of `[1700000000.123, "1"]`.
Result<std::string> format_point(const JsonValue& point) {
  if (point.items().size() != 2) return invalid("the answer is not Prometheus'");
  const double t = TRY(point.items()[0].as_double());
  const std::string v = TRY(point.items()[1].as_string());
  return fmt::format("{} @[{}]", v, t);
}

Result<std::string> format_metric(const JsonValue* metric) {
  if (!metric || metric->kind() != JsonKind::kObject) {
    return invalid("the answer is not Prometheus'");
  }
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < metric->items().size(); ++i) {
    builder.set(metric->keys()[i], TRY(metric->items()[i].as_string()));
  }
  return builder.build().to_string();
}

/// `(1,2]:3`. The first item says which bounds are inside.
Result<std::string> format_bucket(const JsonValue& bucket) {
  if (bucket.items().size() != 4) return invalid("a bucket is not Prometheus'");
  const double rule = TRY(bucket.items()[0].as_double());
  const auto bound = [&](std::size_t i) -> Result<std::string> {
    const std::string text = TRY(bucket.items()[i].as_string());
    const auto number = number_of(text);
    return number ? short_number(*number) : text;
  };
  return fmt::format("{}{},{}{}:{}", rule == 1 || rule == 3 ? "[" : "(", TRY(bound(1)),
                     TRY(bound(2)), rule == 0 || rule == 3 ? "]" : ")",
                     TRY(bucket.items()[3].as_string()));
}

/// `Count: 2.000000, Sum: 3.500000, Buckets: [(1,2]:2] @[1700000000]`.
Result<std::string> format_histogram_point(const JsonValue& point) {
  if (point.items().size() != 2) return invalid("the answer is not Prometheus'");
  const double t = TRY(point.items()[0].as_double());
  const JsonValue& histogram = point.items()[1];
  const auto number = [&](const char* name) -> Result<std::string> {
    const std::string text = TRY(text_of(histogram.find(name)));
    const auto value = number_of(text);
    if (!value) return text;
    return fmt::format("{:f}", *value);
  };
  std::string out =
      fmt::format("Count: {}, Sum: {}, Buckets: [", TRY(number("count")), TRY(number("sum")));
  if (const JsonValue* buckets = histogram.find("buckets")) {
    for (std::size_t i = 0; i < buckets->items().size(); ++i) {
      out += (i > 0 ? " " : "") + TRY(format_bucket(buckets->items()[i]));
    }
  }
  return out + fmt::format("] @[{}]", t);
}

Result<std::string> format_series(const JsonValue& series) {
  const std::string metric = TRY(format_metric(series.find("metric")));
  if (const JsonValue* value = series.find("value")) {
    return fmt::format("{} => {}", metric, TRY(format_point(*value)));
  }
  if (const JsonValue* histogram = series.find("histogram")) {
    return fmt::format("{} => {}", metric, TRY(format_histogram_point(*histogram)));
  }
  std::string out = metric + " =>";
  const JsonValue* values = series.find("values");
  const JsonValue* histograms = series.find("histograms");
  if (!values && !histograms) return invalid("the answer has no values");
  if (values) {
    for (const JsonValue& point : values->items()) out += "\n" + TRY(format_point(point));
  }
  if (histograms) {
    for (const JsonValue& point : histograms->items()) {
      out += "\n" + TRY(format_histogram_point(point));
    }
  }
  return out;
}

}  // namespace

Result<std::string> format_query_answer(std::string_view body) {
  const JsonValue answer = TRY(parse_json(body, kAnswerLimits));
  if (TRY(text_of(answer.find("status"))) != "success") {
    return invalid(fmt::format("{}: {}", TRY(text_of(answer.find("errorType"))),
                               TRY(text_of(answer.find("error")))));
  }
  const JsonValue* data = answer.find("data");
  const JsonValue* result = data ? data->find("result") : nullptr;
  if (!result) return invalid("the answer has no result");
  const std::string type = TRY(text_of(data->find("resultType")));
  if (type == "string") {
    if (result->items().size() != 2) return invalid("the answer is not Prometheus'");
    return result->items()[1].as_string();
  }
  if (type == "scalar") return "scalar: " + TRY(format_point(*result));
  std::string out;
  for (const JsonValue& series : result->items()) {
    out += (out.empty() ? "" : "\n") + TRY(format_series(series));
  }
  return out;
}

}  // namespace tarsier::server
