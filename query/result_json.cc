#include "query/result_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/number_text.h"
#include "query/histogram/json.h"

namespace tarsier::query {
namespace {

/// `[time,"value"]`
void append_point(std::string& out, Timestamp t, double v) {
  out += '[';
  append_sample_time(out, t);
  out += ",\"";
  append_sample_value(out, v);
  out += "\"]";
}

/// `[time,{...}]`
void append_histogram_point(std::string& out, Timestamp t, const HistogramView& h) {
  out += '[';
  append_sample_time(out, t);
  out += ',';
  append_histogram_json(out, h);
  out += ']';
}

/// Scalars and strings give their time through ordinary float output: 1700000000.1.
std::string ordinary_time(Timestamp t) { return plain_number(static_cast<double>(t.ms) / 1000); }

void append_element(std::string& out, Timestamp t, const VectorElement& element) {
  JsonWriter json(out);
  json.begin_object().key("metric");
  write_labels(json, element.labels);
  if (element.histogram != nullptr) {
    json.key("histogram").raw("");
    append_histogram_point(out, t, view_of(*element.histogram));
  } else {
    json.key("value").raw("");
    append_point(out, t, element.value);
  }
  json.end_object();
}

void append_series(std::string& out, const MatrixSeries& series) {
  JsonWriter json(out);
  json.begin_object().key("metric");
  write_labels(json, series.labels);
  const tsdb::SampleColumns& columns = series.points;
  const tsdb::HistogramColumns* const histograms = series.histograms.get();
  if (columns.size() > 0 || histograms == nullptr) {
    json.key("values").raw("[");
    for (std::size_t k = 0; k < columns.size(); ++k) {
      if (k > 0) out += ',';
      append_point(out, Timestamp{columns.times_ms[k]}, columns.values[k]);
    }
    out += ']';
  }
  if (histograms != nullptr) {
    json.key("histograms").raw("[");
    for (std::size_t k = 0; k < histograms->size(); ++k) {
      if (k > 0) out += ',';
      append_histogram_point(out, Timestamp{histograms->times_ms[k]}, view_of(*histograms, k));
    }
    out += ']';
  }
  json.end_object();
}

}  // namespace

void append_sample_value(std::string& out, double v) {
  const double magnitude = std::fabs(v);
  // Most samples are counters: integers below 2^53 need no search for the shortest form.
  if (magnitude < 1e15 && v == std::trunc(v) && !(v == 0 && std::signbit(v))) {
    char buffer[24];
    const auto whole = static_cast<std::int64_t>(v);
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, whole).ptr);
    return;
  }
  if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    append_scientific_number(out, v);
  } else {
    append_plain_number(out, v);
  }
}

void append_sample_time(std::string& out, Timestamp t) {
  if (t.ms < 0) out += '-';
  const std::uint64_t ms = t.ms < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(t.ms)
                                    : static_cast<std::uint64_t>(t.ms);
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, ms / 1000).ptr);
  const std::uint64_t rest = ms % 1000;
  if (rest == 0) return;
  out += '.';
  out += static_cast<char>('0' + rest / 100);
  out += static_cast<char>('0' + rest / 10 % 10);
  out += static_cast<char>('0' + rest % 10);
}

void write_labels(JsonWriter& json, const tsdb::Labels& labels) {
  json.begin_object();
  for (const tsdb::LabelView& label : labels) json.key(label.name).value(label.value);
  json.end_object();
}

void append_result_element(std::string& out, const QueryResult& result, std::size_t i) {
  if (result.type == ResultType::kMatrix) {
    append_series(out, result.matrix[i]);
  } else {
    append_element(out, result.time, result.vector[i]);
  }
}

void write_result(JsonWriter& json, const QueryResult& result, std::size_t series_max) {
  const auto cut = [&](std::size_t size) {
    return series_max == 0 ? size : std::min(size, series_max);
  };
  json.field("resultType", result_type_name(result.type)).key("result").begin_array();
  switch (result.type) {
    case ResultType::kScalar:
      json.raw(ordinary_time(result.time)).value(plain_number(result.scalar));
      break;
    case ResultType::kString: json.raw(ordinary_time(result.time)).value(result.text); break;
    case ResultType::kVector:
    case ResultType::kMatrix: {
      const bool is_matrix = result.type == ResultType::kMatrix;
      const std::size_t count = cut(is_matrix ? result.matrix.size() : result.vector.size());
      std::string element;
      for (std::size_t i = 0; i < count; ++i) {
        element.clear();
        append_result_element(element, result, i);
        json.raw(element);
      }
      break;
    }
  }
  json.end_array();
}

}  // namespace tarsier::query
