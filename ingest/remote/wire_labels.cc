#include "ingest/remote/wire_labels.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/protobuf_reader.h"
#include "base/utf8.h"

namespace tarsier::ingest {
namespace {

bool read_label(std::string_view message, tsdb::LabelView& out) {
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() != 1 && fields.field() != 2) continue;
    if (fields.type() != ProtobufReader::kBytes) return false;
    (fields.field() == 1 ? out.name : out.value) = fields.bytes();
  }
  return fields.ok();
}

/// `text` with what is no UTF-8 replaced and cut at `size_max`.
std::string printable(std::string_view text, std::size_t size_max) {
  std::string out;
  while (!text.empty() && out.size() < size_max) {
    const std::size_t size = utf8_sequence_size(text);
    if (size == 0) {
      out += '?';
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  if (!text.empty()) out += "...";
  return out;
}

}  // namespace

Status read_wire_labels(std::string_view series, std::vector<tsdb::LabelView>& out) {
  out.clear();
  ProtobufReader fields(series);
  while (fields.next()) {
    if (fields.field() != 1) continue;
    tsdb::LabelView label{"", ""};
    if (fields.type() != ProtobufReader::kBytes || !read_label(fields.bytes(), label)) {
      return corruption(fmt::format("protobuf: damaged Label {} of a TimeSeries", out.size()));
    }
    out.push_back(label);
  }
  if (!fields.ok()) return corruption("protobuf: damaged TimeSeries");
  return {};
}

Result<tsdb::Labels> check_labels(std::vector<tsdb::LabelView> labels, NameValidation validation) {
  const auto by_name = [](const tsdb::LabelView& a, const tsdb::LabelView& b) {
    return a.name < b.name;
  };
  if (!std::is_sorted(labels.begin(), labels.end(), by_name)) {
    std::sort(labels.begin(), labels.end(), by_name);
  }
  bool has_metric_name = false;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto [name, value] = labels[i];
    if (!is_valid_label_name(name, validation)) {
      return invalid(fmt::format("invalid label name \"{}\"", printable(name, 128)));
    }
    if (i > 0 && labels[i - 1].name == name) {
      return invalid(
          fmt::format("label name \"{}\" is not unique: invalid sample", printable(name, 128)));
    }
    if (name == tsdb::kMetricName) {
      if (!is_valid_metric_name(value, validation)) {
        return invalid(fmt::format("invalid metric name \"{}\"", printable(value, 128)));
      }
      has_metric_name = true;
    } else if (!is_valid_utf8(value)) {
      return invalid(
          fmt::format("invalid UTF-8 in the value of label \"{}\"", printable(name, 128)));
    }
  }
  if (labels.empty()) return invalid("empty labelset: invalid sample");
  if (!has_metric_name) return invalid("metric name label __name__ is missing");
  std::erase_if(labels, [](const tsdb::LabelView& label) { return label.value.empty(); });
  return tsdb::Labels::from_sorted(labels);
}

std::string describe_labels(const std::vector<tsdb::LabelView>& labels, std::size_t size_max) {
  std::string name;
  std::string inside;
  for (const tsdb::LabelView& label : labels) {
    if (label.name == tsdb::kMetricName && name.empty() &&
        tsdb::is_legacy_metric_name(label.value)) {
      name = label.value;
      continue;
    }
    if (!inside.empty()) inside += ", ";
    inside += label.name;
    inside += "=\"";
    inside += label.value;
    inside += '"';
    if (inside.size() > size_max) break;
  }
  if (name.empty() || !inside.empty()) name += '{' + inside + '}';
  return printable(name, size_max);
}

}  // namespace tarsier::ingest
