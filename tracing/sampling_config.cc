#include "tracing/sampling_config.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/quote.h"
#include "tracing/policy/json_fields.h"

namespace tarsier::tracing {
namespace {

void append_json(const JsonValue& value, JsonWriter& out) {
  switch (value.kind()) {
    case JsonKind::kNull: out.null(); return;
    case JsonKind::kBool: out.value(*value.as_bool()); return;
    case JsonKind::kString: out.value(std::string_view(*value.as_string())); return;
    case JsonKind::kNumber: {
      const Result<std::int64_t> whole = value.as_int64();
      if (whole.ok()) {
        out.value(*whole);
      } else {
        out.value(*value.as_double());
      }
      return;
    }
    case JsonKind::kArray:
      out.begin_array();
      for (const JsonValue& item : value.items()) append_json(item, out);
      out.end_array();
      return;
    case JsonKind::kObject:
      out.begin_object();
      for (std::size_t i = 0; i < value.items().size(); ++i) {
        out.key(value.keys()[i]);
        append_json(value.items()[i], out);
      }
      out.end_object();
      return;
  }
}

/// A number of bytes, or "256MB", "2GiB": powers of 1024.
Status read_size(JsonFields& in, std::string_view name, std::uint64_t min, std::uint64_t& out) {
  const JsonValue* found = in.find(name);
  if (found == nullptr) return {};
  if (found->kind() == JsonKind::kNumber) {
    out = TRY(found->as_uint64());
  } else {
    const std::string text = TRY(found->as_string());
    std::uint64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string_view unit(read.ptr, static_cast<std::size_t>(text.data() + text.size() - read.ptr));
    if (unit.ends_with("iB")) {
      unit.remove_suffix(2);
    } else if (unit.ends_with('B')) {
      unit.remove_suffix(1);
    }
    const std::size_t power = unit.empty() ? 0 : std::string_view("KMGT").find(unit) + 1;
    if (read.ec != std::errc() || unit.size() > 1 || (power == 0 && !unit.empty()) ||
        number > (std::uint64_t{1} << 20)) {
      return in.fail(fmt::format("{}: {} is no size", name, quote(text)));
    }
    out = number << (10 * power);
  }
  if (out < min) return in.fail(fmt::format("{} must be at least {} bytes", name, min));
  return {};
}

void note_without_effect(JsonFields& in, std::string_view name, std::string_view why,
                         std::vector<std::string>& warnings) {
  if (in.find(name) != nullptr) {
    warnings.push_back(fmt::format("{} has no effect: {}", in.path_of(name), why));
  }
}

}  // namespace

Result<SamplingConfig> parse_sampling(const JsonValue& map, std::vector<std::string>& warnings) {
  JsonFields in(map, "traces.sampling");
  SamplingConfig out;
  in.read("decision_wait", out.decision_wait);
  Duration after_root;
  in.read("decision_wait_after_root_received", after_root);
  if (after_root.ms > 0) out.decision_wait_after_root_received = after_root;
  in.read("sample_on_first_match", out.sample_on_first_match);
  in.read("maximum_trace_size_bytes", out.trace_bytes_max);
  in.read("num_traces", out.traces_max);
  std::string strategy = "trace-complete";
  in.read("sampling_strategy", strategy);
  if (strategy != "trace-complete" && strategy != "span-ingest") {
    return in.fail("sampling_strategy must be trace-complete or span-ingest");
  }
  out.decides_early = strategy == "span-ingest";
  in.read("decision_retention", out.decision_retention);
  in.read("recorded_traces", out.recorded_traces_max);
  TRY(read_size(in, "buffer_memory", std::uint64_t{1} << 20, out.memory_bytes));
  TRY(read_size(in, "buffer_disk", std::uint64_t{256} << 20, out.log_bytes));
  TRY(read_size(in, "decision_disk", std::uint64_t{1} << 20, out.decision_bytes));
  if (out.decision_wait.ms <= 0) return in.fail("decision_wait must be above 0");
  if (out.decision_wait > hours(1)) return in.fail("decision_wait must be at most 1h");
  out.recorded_traces_max = std::min<std::uint64_t>(out.recorded_traces_max, 20'000'000);

  constexpr std::string_view kNoBatches = "nothing is allocated ahead";
  note_without_effect(in, "expected_new_traces_per_sec", kNoBatches, warnings);
  note_without_effect(in, "decision_cache", "decisions are remembered for decision_retention",
                      warnings);
  note_without_effect(in, "num_shards", "the number of shards is fixed", warnings);
  note_without_effect(in, "block_on_overflow", "what does not fit is refused, never evicted",
                      warnings);
  note_without_effect(in, "drop_pending_traces_on_shutdown",
                      "undecided traces are taken up at the next start", warnings);
  note_without_effect(in, "tail_storage", "undecided traces are always on disk", warnings);
  if (const JsonValue* policies = in.list("policies")) {
    out.policies.clear();
    JsonWriter writer(out.policies);
    append_json(*policies, writer);
    const auto compiled = compile_policies(*policies);
    if (!compiled.ok()) return compiled.status().with_prefix("traces.sampling");
  }
  TRY(in.finish());
  return out;
}

Result<SamplingRules> make_rules(const SamplingConfig& config, OperationTable& operations) {
  auto policies = TRY(compile_policies(std::string_view(config.policies)));
  auto sampler = std::make_shared<TailSampler>(
      std::move(policies), operations,
      TailSampler::Options{.sample_on_first_match = config.sample_on_first_match});
  return SamplingRules{
      .sampler = std::move(sampler),
      .decision_wait = config.decision_wait,
      .decision_wait_after_root_received = config.decision_wait_after_root_received,
      .decides_early = config.decides_early,
      .trace_bytes_max = config.trace_bytes_max,
      .traces_max = config.traces_max};
}

}  // namespace tarsier::tracing
