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

void write_vector(JsonWriter& json, const QueryResult& result, std::size_t count) {
  std::string point;
  for (std::size_t i = 0; i < count; ++i) {
    json.begin_object().key("metric");
    write_labels(json, result.vector[i].labels);
    point.clear();
    if (result.vector[i].histogram != nullptr) {
      append_histogram_point(point, result.time, view_of(*result.vector[i].histogram));
      json.key("histogram").raw(point).end_object();
      continue;
    }
    append_point(point, result.time, result.vector[i].value);
    json.key("value").raw(point).end_object();
  }
}

void write_matrix(JsonWriter& json, const QueryResult& result, std::size_t count) {
  std::string points;
  for (std::size_t i = 0; i < count; ++i) {
    json.begin_object().key("metric");
    write_labels(json, result.matrix[i].labels);
    const tsdb::SampleColumns& columns = result.matrix[i].points;
    const tsdb::HistogramColumns* const histograms = result.matrix[i].histograms.get();
    if (columns.size() > 0 || histograms == nullptr) {
      points = "[";
      for (std::size_t k = 0; k < columns.size(); ++k) {
        if (k > 0) points += ',';
        append_point(points, Timestamp{columns.times_ms[k]}, columns.values[k]);
      }
      points += ']';
      json.key("values").raw(points);
    }
    if (histograms != nullptr) {
      points = "[";
      for (std::size_t k = 0; k < histograms->size(); ++k) {
        if (k > 0) points += ',';
        append_histogram_point(points, Timestamp{histograms->times_ms[k]}, view_of(*histograms, k));
      }
      points += ']';
      json.key("histograms").raw(points);
    }
    json.end_object();
  }
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
    case ResultType::kVector: write_vector(json, result, cut(result.vector.size())); break;
    case ResultType::kMatrix: write_matrix(json, result, cut(result.matrix.size())); break;
  }
  json.end_array();
}

}  // namespace tarsier::query
