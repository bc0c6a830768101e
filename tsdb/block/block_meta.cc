#include "tsdb/block/block_meta.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/json_writer.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::uint64_t kFileBytesMax = 16 << 20;

/// Reads the members of one JSON object; remembers the first error.
class Fields final {
 public:
  Fields(const JsonValue& object, Status& error) : object_(object), error_(error) {
    if (object.kind() != JsonKind::kObject) fail("", invalid("want an object"));
  }

  const JsonValue* find(std::string_view name) const { return object_.find(name); }

  /// Absent fields keep their value: writers omit zeros.
  void read(std::string_view name, std::int64_t& out) {
    if (const JsonValue* value = find(name)) take(name, value->as_int64(), out);
  }
  void read(std::string_view name, Timestamp& out) { read(name, out.ms); }
  void read(std::string_view name, std::uint64_t& out) {
    if (const JsonValue* value = find(name)) take(name, value->as_uint64(), out);
  }
  void read(std::string_view name, bool& out) {
    if (const JsonValue* value = find(name)) take(name, value->as_bool(), out);
  }
  void read(std::string_view name, Ulid& out) {
    if (const JsonValue* value = find(name)) read_ulid(name, *value, out);
  }
  void read(std::string_view name, std::vector<Ulid>& out) {
    for (const JsonValue& item : array(name)) read_ulid(name, item, out.emplace_back());
  }
  void read(std::string_view name, std::vector<std::string>& out) {
    for (const JsonValue& item : array(name)) take(name, item.as_string(), out.emplace_back());
  }
  const std::vector<JsonValue>& array(std::string_view name) {
    static const std::vector<JsonValue> kNone;
    const JsonValue* value = find(name);
    if (value == nullptr || value->is_null()) return kNone;  // Go writes a nil slice as null.
    if (value->kind() != JsonKind::kArray) fail(name, invalid("want an array"));
    return value->kind() == JsonKind::kArray ? value->items() : kNone;
  }
  void require(std::string_view name) {
    if (find(name) == nullptr) fail(name, invalid("is missing"));
  }
  void fail(std::string_view name, Status status) {
    if (error_.ok()) error_ = std::move(status).with_prefix(name);
  }

 private:
  template <typename T>
  void take(std::string_view name, Result<T> result, T& out) {
    if (result.ok()) {
      out = std::move(*result);
    } else {
      fail(name, result.status());
    }
  }
  void read_ulid(std::string_view name, const JsonValue& value, Ulid& out) {
    std::string text;
    take(name, value.as_string(), text);
    if (const auto ulid = parse_ulid(text)) {
      out = *ulid;
    } else {
      fail(name, invalid(fmt::format("\"{}\" is not a ULID", text)));
    }
  }

  const JsonValue& object_;
  Status& error_;
};

void read_stats(Fields stats, BlockMeta& meta) {
  stats.read("numSamples", meta.sample_count);
  stats.read("numFloatSamples", meta.float_sample_count);
  stats.read("numHistogramSamples", meta.histogram_sample_count);
  stats.read("numSeries", meta.series_count);
  stats.read("numChunks", meta.chunk_count);
  stats.read("numTombstones", meta.tombstone_count);
}

void read_compaction(Fields compaction, BlockMeta& meta, Status& error) {
  std::int64_t level = 1;
  compaction.read("level", level);
  if (level < 0 || level > 1'000'000) compaction.fail("level", invalid("is out of range"));
  meta.compaction_level = static_cast<int>(level);
  compaction.read("sources", meta.sources);
  compaction.read("deletable", meta.deletable);
  compaction.read("failed", meta.compaction_failed);
  compaction.read("hints", meta.hints);
  for (const JsonValue& item : compaction.array("parents")) {
    Fields parent(item, error);
    BlockParent& out = meta.parents.emplace_back();
    parent.require("ulid");
    parent.read("ulid", out.ulid);
    parent.read("minTime", out.min_time);
    parent.read("maxTime", out.max_time);
  }
}

void write_count(JsonWriter& json, std::string_view name, std::uint64_t count) {
  if (count != 0) json.field(name, count);
}

void write_compaction(JsonWriter& json, const BlockMeta& meta) {
  json.key("compaction").begin_object().field("level", meta.compaction_level);
  if (!meta.sources.empty()) {
    json.key("sources").begin_array();
    for (const Ulid& source : meta.sources) json.value(source.to_string());
    json.end_array();
  }
  if (meta.deletable) json.field("deletable", true);
  if (!meta.parents.empty()) {
    json.key("parents").begin_array();
    for (const BlockParent& parent : meta.parents) {
      json.begin_object().field("ulid", parent.ulid.to_string());
      json.field("minTime", parent.min_time.ms).field("maxTime", parent.max_time.ms).end_object();
    }
    json.end_array();
  }
  if (meta.compaction_failed) json.field("failed", true);
  if (!meta.hints.empty()) {
    json.key("hints").begin_array();
    for (const std::string& hint : meta.hints) json.value(hint);
    json.end_array();
  }
  json.end_object();
}

/// Lays compact JSON out with a line per value and tabs.
std::string indent_json(std::string_view compact) {
  std::string out;
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    const bool closing = !in_string && (c == '}' || c == ']');
    if (closing) out.append("\n").append(--depth, '\t');
    out += c;
    if (in_string && c == '\\') {
      out += compact[++i];
    } else if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      continue;
    } else if ((c == '{' || c == '[') && (compact[i + 1] == '}' || compact[i + 1] == ']')) {
      out += compact[++i];  // Nothing inside: stays on its line.
    } else if (c == '{' || c == '[') {
      out.append("\n").append(++depth, '\t');
    } else if (c == ',') {
      out.append("\n").append(depth, '\t');
    } else if (c == ':') {
      out += ' ';
    }
  }
  return out;
}

}  // namespace

bool BlockMeta::has_hint(std::string_view hint) const {
  return std::find(hints.begin(), hints.end(), hint) != hints.end();
}

bool BlockMeta::is_complete() const {
  return !has_hint(kHintOutOfOrder) && !has_hint(kHintStaleSeries) &&
         !has_hint(kHintSelectedSeries);
}

Result<BlockMeta> parse_block_meta(std::string_view json, std::int64_t wanted_version) {
  const JsonValue document = TRY(parse_json(json));
  BlockMeta meta;
  Status error;
  Fields fields(document, error);
  for (const std::string_view name : {"version", "ulid", "minTime", "maxTime"}) {
    fields.require(name);
  }
  std::int64_t version = 0;
  fields.read("version", version);
  if (version != wanted_version) {
    fields.fail("version", invalid(fmt::format("{}, want {}", version, wanted_version)));
  }
  fields.read("ulid", meta.ulid);
  fields.read("minTime", meta.min_time);
  fields.read("maxTime", meta.max_time);
  if (meta.max_time < meta.min_time) fields.fail("maxTime", invalid("is before minTime"));
  if (const JsonValue* stats = fields.find("stats")) read_stats(Fields(*stats, error), meta);
  if (const JsonValue* compaction = fields.find("compaction")) {
    read_compaction(Fields(*compaction, error), meta, error);
  }
  if (!error.ok()) return error;
  return meta;
}

std::string format_block_meta(const BlockMeta& meta) { return format_block_meta(meta, {}); }

std::string format_block_meta(const BlockMeta& meta, std::string_view thanos_json) {
  std::string compact;
  JsonWriter json(compact);
  json.begin_object().field("ulid", meta.ulid.to_string());
  json.field("minTime", meta.min_time.ms).field("maxTime", meta.max_time.ms);
  json.key("stats").begin_object();
  write_count(json, "numSamples", meta.sample_count);
  write_count(json, "numFloatSamples", meta.float_sample_count);
  write_count(json, "numHistogramSamples", meta.histogram_sample_count);
  write_count(json, "numSeries", meta.series_count);
  write_count(json, "numChunks", meta.chunk_count);
  write_count(json, "numTombstones", meta.tombstone_count);
  json.end_object();
  write_compaction(json, meta);
  json.field("version", kVersion);
  if (!thanos_json.empty()) json.key("thanos").raw(thanos_json);
  json.end_object();
  return indent_json(compact);
}

Result<BlockMeta> read_block_meta(FileSystem& files, const std::string& directory) {
  const std::string path = join_path(directory, kMetaFileName);
  const std::string json = TRY(read_file(files, path, kFileBytesMax));
  Result<BlockMeta> meta = parse_block_meta(json);
  if (!meta.ok()) return std::move(meta).status().with_prefix(path);
  return meta;
}

}  // namespace tarsier::tsdb
