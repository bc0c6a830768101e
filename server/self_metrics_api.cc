#include "server/self_metrics_api.h"

#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/api.h"
#include "base/json_writer.h"
#include "base/regex.h"

namespace tarsier::server {
namespace {

using LabelList = std::vector<std::pair<std::string, std::string>>;

struct SampleLine {
  std::string name;
  LabelList labels;
  std::string value;
};

struct Family {
  std::string name;
  std::string help;
  std::string type;
  std::vector<SampleLine> samples;
};

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      out += text[i] == 'n' ? '\n' : text[i];
    } else {
      out += text[i];
    }
  }
  return out;
}

/// `name{a="x",b="y"} 1`: as MetricWriter writes it.
SampleLine read_sample(std::string_view line) {
  SampleLine sample;
  const std::size_t name_size = line.find_first_of("{ ");
  sample.name = line.substr(0, name_size);
  line.remove_prefix(std::min(name_size, line.size()));
  while (line.starts_with('{') || line.starts_with(',')) {
    line.remove_prefix(1);
    const std::size_t equals = line.find("=\"");
    if (equals == std::string_view::npos) break;
    std::size_t end = equals + 2;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    end = std::min(end, line.size());
    sample.labels.emplace_back(line.substr(0, equals),
                               unescaped(line.substr(equals + 2, end - equals - 2)));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  sample.value = line.substr(std::min(line.rfind(' ') + 1, line.size()));
  return sample;
}

std::vector<Family> read_families(std::string_view text) {
  std::vector<Family> families;
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    const bool is_help = line.starts_with("# HELP ");
    if (is_help || line.starts_with("# TYPE ")) {
      line.remove_prefix(7);
      const std::string_view name = line.substr(0, line.find(' '));
      if (families.empty() || families.back().name != name) {
        families.push_back({std::string(name), {}, {}, {}});
      }
      const std::string_view rest = line.substr(std::min(name.size() + 1, line.size()));
      (is_help ? families.back().help : families.back().type) = unescaped(rest);
    } else if (!line.empty() && !families.empty()) {
      families.back().samples.push_back(read_sample(line));
    }
  }
  return families;
}

/// A double as protobuf's JSON has it: what is no number is text.
void write_number(JsonWriter& json, const std::string& text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  const bool is_read = error == std::errc{} && end == text.data() + text.size();
  if (is_read && std::isfinite(v)) {
    json.value(v);
  } else if (text == "+Inf") {
    json.value("Infinity");
  } else {
    json.value(text == "-Inf" ? "-Infinity" : "NaN");
  }
}

/// One metric of a family: samples that differ by suffix and by `le` or `quantile` alone.
struct Metric {
  std::string value;
  std::string sum;
  std::string count;
  std::vector<std::pair<std::string, std::string>> parts;  ///< Bound or quantile, value.
};

std::string taken(LabelList& labels, std::string_view name) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].first != name) continue;
    std::string value = std::move(labels[i].second);
    labels.erase(labels.begin() + static_cast<std::ptrdiff_t>(i));
    return value;
  }
  return {};
}

void write_distribution(JsonWriter& json, const Metric& metric, bool is_histogram) {
  json.key(is_histogram ? "histogram" : "summary").begin_object();
  json.field("sampleCount", metric.count).key("sampleSum");
  write_number(json, metric.sum);
  json.key(is_histogram ? "bucket" : "quantile").begin_array();
  for (const auto& [bound, value] : metric.parts) {
    if (is_histogram && bound == "+Inf") continue;  // It is the count.
    json.begin_object();
    if (is_histogram) {
      json.field("cumulativeCount", value).key("upperBound");
      write_number(json, bound);
    } else {
      json.key("quantile");
      write_number(json, bound);
      json.key("value");
      write_number(json, value);
    }
    json.end_object();
  }
  json.end_array().end_object();
}

void write_metric(JsonWriter& json, const std::string& type, const LabelList& labels,
                  const Metric& metric) {
  json.begin_object();
  if (!labels.empty()) {
    json.key("label").begin_array();
    for (const auto& [name, value] : labels) {
      json.begin_object().field("name", name).field("value", value).end_object();
    }
    json.end_array();
  }
  if (type == "histogram" || type == "summary") {
    write_distribution(json, metric, type == "histogram");
  } else {
    const bool is_known = type == "counter" || type == "gauge";
    json.key(is_known ? std::string_view(type) : "untyped").begin_object().key("value");
    write_number(json, metric.value);
    json.end_object();
  }
  json.end_object();
}

void write_family(JsonWriter& json, const Family& family) {
  std::string upper = family.type.empty() ? "untyped" : family.type;
  for (char& c : upper) c = static_cast<char>('a' <= c && c <= 'z' ? c - 'a' + 'A' : c);
  json.begin_object().field("name", family.name).field("help", family.help).field("type", upper);
  json.key("metric").begin_array();
  std::map<LabelList, Metric> metrics;
  for (const SampleLine& sample : family.samples) {
    LabelList labels = sample.labels;
    const std::string part = taken(labels, family.type == "summary" ? "quantile" : "le");
    Metric& metric = metrics[labels];
    const std::string_view suffix = std::string_view(sample.name).substr(family.name.size());
    if (!part.empty()) {
      metric.parts.emplace_back(part, sample.value);
    } else if (suffix == "_sum") {
      metric.sum = sample.value;
    } else if (suffix == "_count") {
      metric.count = sample.value;
    } else {
      metric.value = sample.value;
    }
  }
  for (const auto& [labels, metric] : metrics) write_metric(json, family.type, labels, metric);
  json.end_array().end_object();
}

}  // namespace

HttpResponse self_metrics_response(const HttpRequest& request, std::string_view exposition) {
  std::optional<Regex> wanted;
  if (const auto pattern = request.parameter("metric_name_pattern");
      !pattern.value_or("").empty()) {
    Result<Regex> compiled = Regex::compile(*pattern);
    if (!compiled.ok()) {
      return api_error(ApiErrorType::kBadData,
                       "invalid metric_name_pattern: " + compiled.status().message());
    }
    wanted = std::move(*compiled);
  }
  return api_success([&](JsonWriter& json) {
    json.begin_array();
    for (const Family& family : read_families(exposition)) {
      if (!wanted || wanted->full_match(family.name)) write_family(json, family);
    }
    json.end_array();
  });
}

}  // namespace tarsier::server
