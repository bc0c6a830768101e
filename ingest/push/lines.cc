#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "ingest/exposition/number.h"
#include "ingest/exposition/text.h"
#include "ingest/push/rows.h"

namespace tarsier::ingest {
namespace {

/// JSON knows no NaN and no infinity: exports write them as strings or as null.
Result<double> value_of(const JsonValue& json) {
  if (json.is_null()) return std::bit_cast<double>(tsdb::kNormalNanBits);
  if (json.kind() == JsonKind::kString) {
    double value = 0;
    const std::string text = TRY(json.as_string());
    if (parse_number(text, value) != NumberError::kNone) return invalid("a value is no number");
    return value;
  }
  return json.as_double();
}

Status read_line(std::string_view text, std::size_t values_max, PushedRow& row) {
  const JsonValue line = TRY(parse_json(text, {.value_count_max = values_max}));
  const JsonValue* const metric = line.find("metric");
  const JsonValue* const values = line.find("values");
  const JsonValue* const times = line.find("timestamps");
  if (metric == nullptr || metric->kind() != JsonKind::kObject) return invalid("no \"metric\"");
  if (values == nullptr || values->kind() != JsonKind::kArray) return invalid("no \"values\"");
  if (times == nullptr || times->kind() != JsonKind::kArray) return invalid("no \"timestamps\"");
  if (values->items().size() != times->items().size()) {
    return invalid(
        fmt::format("{} values and {} timestamps", values->items().size(), times->items().size()));
  }
  for (std::size_t i = 0; i < metric->keys().size(); ++i) {
    row.labels.emplace_back(metric->keys()[i], TRY(metric->items()[i].as_string()));
  }
  for (std::size_t i = 0; i < values->items().size(); ++i) {
    const std::int64_t t = TRY(times->items()[i].as_int64());
    row.samples.push_back({Timestamp{t}, TRY(value_of(values->items()[i]))});
  }
  return {};
}

/// The parser of a single line calls it line 1.
std::string without_line(std::string_view message) {
  constexpr std::string_view kFirst = "line 1: ";
  if (message.starts_with(kFirst)) message.remove_prefix(kFirst.size());
  return std::string(message);
}

}  // namespace

Result<PushedRows> parse_json_lines(std::string_view body, const PushLimits& limits) {
  PushedRows out;
  std::size_t sample_count = 0;
  for (std::size_t number = 1; !body.empty(); ++number) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    const std::string_view text = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (text.size() > limits.line_bytes_max) {
      out.refuse(number, fmt::format("longer than {} bytes", limits.line_bytes_max));
      continue;
    }
    PushedRow row;
    if (const Status read = read_line(text, 2 * limits.samples_max + 1000, row); !read.ok()) {
      out.refuse(number, read.message());
      continue;
    }
    sample_count += row.samples.size();
    if (sample_count > limits.samples_max) {
      return limit_exceeded(fmt::format("more than {} samples in one request", limits.samples_max));
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

Result<PushedRows> parse_text_lines(std::string_view body, Timestamp now,
                                    const PushLimits& limits) {
  PushedRows out;
  ExposedLabels labels;
  // Line by line, so that one that cannot be read costs no other.
  for (std::size_t number = 1; !body.empty(); ++number) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    std::string_view text = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (text.ends_with('\r')) text.remove_suffix(1);
    TextParser parser(text);
    EntryKind kind = parser.next();
    while (kind != EntryKind::kEnd && kind != EntryKind::kError && kind != EntryKind::kSeries) {
      kind = parser.next();
    }
    if (kind == EntryKind::kEnd) continue;
    Status status = kind == EntryKind::kError ? parser.status() : Status();
    if (status.ok()) status = parser.labels(parser.sample(), labels);
    if (!status.ok()) {
      out.refuse(number, without_line(status.message()));
      continue;
    }
    if (out.rows.size() >= limits.samples_max) {
      return limit_exceeded(fmt::format("more than {} samples in one request", limits.samples_max));
    }
    const ExposedSample& sample = parser.sample();
    PushedRow& row = out.rows.emplace_back();
    for (const tsdb::LabelView& label : labels.views()) {
      row.labels.emplace_back(label.name, label.value);
    }
    row.samples.push_back({sample.has_time ? Timestamp{sample.time_ms} : now, sample.value});
  }
  return out;
}

}  // namespace tarsier::ingest
