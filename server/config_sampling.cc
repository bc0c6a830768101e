#include "server/config_sampling.h"

#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "server/config_fields.h"

namespace tarsier::server {
namespace {

bool is_number(const std::string& text) {
  double v = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), v);
  return !text.empty() && read.ec == std::errc() && read.ptr == text.data() + text.size() &&
         v - v == 0;  // Neither infinite nor NaN.
}

void write_scalar(const YamlNode& node, JsonWriter& out) {
  if (!node.is_plain) {
    out.value(std::string_view(node.text));
  } else if (node.text == "true" || node.text == "false") {
    out.value(node.text == "true");
  } else if (is_number(node.text)) {
    std::int64_t whole = 0;
    const char* end = node.text.data() + node.text.size();
    const auto read = std::from_chars(node.text.data(), end, whole);
    if (read.ec == std::errc() && read.ptr == end) {
      out.value(whole);
    } else {
      double number = 0;
      std::from_chars(node.text.data(), end, number);  // is_number has seen that it is one.
      out.value(number);
    }
  } else {
    out.value(std::string_view(node.text));
  }
}

Status write_node(const YamlNode& node, JsonWriter& out) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: out.null(); return {};
    case YamlNode::Kind::kScalar: write_scalar(node, out); return {};
    case YamlNode::Kind::kSequence:
      out.begin_array();
      for (const YamlNode& item : node.items) TRY(write_node(item, out));
      out.end_array();
      return {};
    case YamlNode::Kind::kMap:
      out.begin_object();
      for (const YamlEntry& entry : node.entries) {
        if (entry.first.kind != YamlNode::Kind::kScalar) {
          return invalid_at(entry.first, "a key must be a text");
        }
        out.key(entry.first.text);
        TRY(write_node(entry.second, out));
      }
      out.end_object();
      return {};
  }
  return {};
}

}  // namespace

Result<JsonValue> json_of(const YamlNode& node) {
  std::string json;
  JsonWriter out(json);
  TRY(write_node(node, out));
  return parse_json(json);
}

Result<tracing::SamplingConfig> read_sampling(const YamlNode& node, Problems& problems) {
  std::vector<std::string> warnings;
  const Result<tracing::SamplingConfig> out = tracing::parse_sampling(TRY(json_of(node)), warnings);
  for (std::string& warning : warnings) problems.warn(node, std::move(warning));
  if (!out.ok()) return invalid_at(node, out.status().message());
  return out;
}

void render_sampling(Emitter& out, const tracing::SamplingConfig& sampling) {
  const tracing::SamplingConfig standard;
  if (sampling == standard) return;
  out.line(1, "sampling:");
  if (sampling.decision_wait != standard.decision_wait) {
    out.field(2, "decision_wait", sampling.decision_wait);
  }
  if (sampling.decision_wait_after_root_received) {
    out.field(2, "decision_wait_after_root_received", *sampling.decision_wait_after_root_received);
  }
  if (sampling.sample_on_first_match) out.field(2, "sample_on_first_match", true);
  if (sampling.decides_early) out.field(2, "sampling_strategy", "span-ingest");
  out.limit(2, "maximum_trace_size_bytes", sampling.trace_bytes_max);
  out.limit(2, "num_traces", sampling.traces_max);
  const auto size = [&out](std::string_view name, std::uint64_t v, std::uint64_t normal) {
    if (v != normal) out.field(2, name, std::to_string(v));
  };
  size("buffer_memory", sampling.memory_bytes, standard.memory_bytes);
  size("buffer_disk", sampling.log_bytes, standard.log_bytes);
  size("decision_disk", sampling.decision_bytes, standard.decision_bytes);
  size("recorded_traces", sampling.recorded_traces_max, standard.recorded_traces_max);
  if (sampling.decision_retention != standard.decision_retention) {
    out.field(2, "decision_retention", sampling.decision_retention);
  }
  // JSON is YAML.
  if (sampling.policies != standard.policies) out.line(2, "policies: " + sampling.policies);
}

}  // namespace tarsier::server
