#include "tracing/store/group_rows.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/compression.h"
#include "base/crc32c.h"
#include "base/protobuf_reader.h"

namespace tarsier::tracing {

using traceql::Attribute;
using traceql::Intrinsic;
using traceql::kNoRow;
using traceql::Scope;
using traceql::Value;

Result<GroupDirectory> read_directory(const GroupInfo& info, const GroupBytes& read) {
  const bool is_sane = info.directory_size <= info.size &&
                       info.directory_raw_size <= kGroupBytesMax && info.size <= kGroupBytesMax;
  if (!is_sane) return corruption("a group of impossible size");
  const std::string packed =
      TRY(read(info.offset + info.size - info.directory_size, info.directory_size));
  if (crc32c(as_bytes(packed)) != info.directory_crc) {
    return corruption(fmt::format("group at {}: wrong checksum of the directory", info.offset));
  }
  std::string plain;
  TRY(zstd_decompress(as_bytes(packed), info.directory_raw_size, plain));
  GroupDirectory directory = TRY(decode_directory(plain));
  if (directory.row_count != info.row_count || directory.trace_count != info.trace_count) {
    return corruption(fmt::format("group at {}: the directory is another group's", info.offset));
  }
  return directory;
}

Result<std::unique_ptr<GroupRows>> GroupRows::open(const GroupInfo& info, GroupDirectory directory,
                                                   GroupBytes read) {
  std::unique_ptr<GroupRows> rows(new GroupRows(info, std::move(directory), std::move(read)));
  rows->bytes_read_ = info.directory_size;
  TRY(rows->load_basics().with_prefix(fmt::format("group at {}", info.offset)));
  return rows;
}

Result<std::string_view> GroupRows::raw(const ColumnEntry& entry) {
  const auto found = raw_.find(&entry);
  if (found != raw_.end()) return std::string_view(found->second);
  if (entry.offset + entry.size > info_.size) return corruption("a column outside its group");
  const std::string packed = TRY(read_(info_.offset + entry.offset, entry.size));
  bytes_read_ += packed.size();
  if (crc32c(as_bytes(packed)) != entry.crc) {
    return corruption(fmt::format("wrong checksum of column {} at {}", static_cast<int>(entry.id),
                                  info_.offset + entry.offset));
  }
  std::string plain;
  TRY(zstd_decompress(as_bytes(packed), entry.raw_size, plain));
  if (plain.size() != entry.raw_size) return corruption("a column of another size");
  return std::string_view(raw_.emplace(&entry, std::move(plain)).first->second);
}

Result<std::string_view> GroupRows::raw(ColumnId id) {
  const ColumnEntry* entry = directory_.find(id);
  if (entry == nullptr) {
    return corruption(fmt::format("column {} is missing", static_cast<int>(id)));
  }
  return raw(*entry);
}

Status GroupRows::load_basics() {
  TRY(load_traces());
  TRY(load_parents());
  TRY(load_times());
  TRY(load_kinds());
  return load_shapes();
}

Status GroupRows::load_traces() {
  const std::string_view traces = TRY(raw(ColumnId::kTraces));
  ByteReader in(as_bytes(traces));
  for (std::uint32_t i = 0; i < directory_.trace_count; ++i) {
    TraceId id;
    id.high = in.be64();
    id.low = in.be64();
    const std::uint64_t count = in.uvarint();
    const std::uint64_t base = in.uvarint();
    const std::size_t first = basics_.trace_of.size();
    if (!in.ok() || count == 0 || count > directory_.row_count - first) {
      return corruption("damaged trace list");
    }
    basics_.trace_ids.push_back(id);
    basics_.traces.push_back(
        {.first = static_cast<std::uint32_t>(first), .count = static_cast<std::uint32_t>(count)});
    basics_.trace_of.insert(basics_.trace_of.end(), count, i);
    // The base is the first row's start until the deltas are added.
    basics_.starts_ns.insert(basics_.starts_ns.end(), count, directory_.start_min_ns + base);
  }
  if (!in.empty() || basics_.trace_of.size() != directory_.row_count) {
    return corruption("traces and rows do not fit");
  }
  const std::string_view ids = TRY(raw(ColumnId::kSpanIds));
  if (ids.size() != std::size_t{8} * directory_.row_count) {
    return corruption("span ids and rows do not fit");
  }
  ByteReader id_reader(as_bytes(ids));
  basics_.span_ids.reserve(directory_.row_count);
  for (std::uint32_t row = 0; row < directory_.row_count; ++row) {
    basics_.span_ids.push_back({id_reader.be64()});
  }
  return {};
}

Status GroupRows::load_parents() {
  ByteReader in(as_bytes(TRY(raw(ColumnId::kParents))));
  ByteReader orphans(as_bytes(TRY(raw(ColumnId::kOrphans))));
  basics_.parent_ids.reserve(directory_.row_count);
  for (const traceql::TraceRows trace : basics_.traces) {
    for (std::uint32_t i = 0; i < trace.count; ++i) {
      const std::uint64_t code = in.uvarint();
      if (code > std::uint64_t{trace.count} + 1) return corruption("a parent outside its trace");
      SpanId parent;
      if (code == std::uint64_t{trace.count} + 1) {
        parent.value = orphans.be64();
      } else if (code > 0) {
        parent = basics_.span_ids[trace.first + code - 1];
      }
      basics_.parent_ids.push_back(parent);
    }
  }
  if (!in.ok() || !in.empty() || !orphans.ok() || !orphans.empty()) {
    return corruption("parents and rows do not fit");
  }
  return {};
}

Status GroupRows::load_times() {
  ByteReader starts(as_bytes(TRY(raw(ColumnId::kStarts))));
  ByteReader durations(as_bytes(TRY(raw(ColumnId::kDurations))));
  basics_.ends_ns.reserve(directory_.row_count);
  for (const traceql::TraceRows trace : basics_.traces) {
    std::uint64_t start = basics_.starts_ns[trace.first];
    for (std::uint32_t row = trace.first; row < trace.first + trace.count; ++row) {
      start += starts.uvarint();
      basics_.starts_ns[row] = start;
      basics_.ends_ns.push_back(start + static_cast<std::uint64_t>(durations.varint()));
    }
  }
  if (!starts.ok() || !starts.empty() || !durations.ok() || !durations.empty()) {
    return corruption("times and rows do not fit");
  }
  return {};
}

Status GroupRows::load_kinds() {
  ByteReader in(as_bytes(TRY(raw(ColumnId::kKinds))));
  for (std::uint32_t row = 0; row < directory_.row_count; ++row) {
    const std::uint8_t packed = in.u8();
    std::int64_t kind = packed & 7;
    std::int64_t status = (packed & 0x7F) >> 3;
    if ((packed & 0x7F) == 0x7F) {
      kind = in.varint();
      status = in.varint();
    }
    basics_.kinds.push_back(static_cast<std::int32_t>(kind));
    basics_.statuses.push_back(static_cast<std::int32_t>(status));
    status_in_rest_.push_back((packed & 0x80) != 0 ? 1 : 0);
  }
  if (!in.ok() || !in.empty()) return corruption("kinds and rows do not fit");
  return {};
}

Status GroupRows::load_shapes() {
  shape_of_ = TRY(codes(ColumnId::kShapes, directory_.shapes.size()));
  for (const std::uint32_t shape : shape_of_) {
    for (const SlotKey slot : directory_.shapes[shape]) ++count_by_slot_[slot];
  }
  return {};
}

Result<std::vector<std::uint32_t>> GroupRows::codes(ColumnId id, std::size_t limit) {
  ByteReader in(as_bytes(TRY(raw(id))));
  std::vector<std::uint32_t> out;
  out.reserve(directory_.row_count);
  for (std::uint32_t row = 0; row < directory_.row_count; ++row) {
    const std::uint64_t code = in.uvarint();
    if (!in.ok() || code >= limit) return corruption("a code outside its table");
    out.push_back(static_cast<std::uint32_t>(code));
  }
  if (!in.empty()) return corruption("codes and rows do not fit");
  return out;
}

Result<std::vector<std::string_view>> GroupRows::strings(ColumnId id) {
  return decode_strings(TRY(raw(id)), directory_.row_count);
}

Status GroupRows::load_rest() {
  if (rests_.empty()) rests_ = TRY(strings(ColumnId::kRest));
  return {};
}

Result<const GroupRows::Values*> GroupRows::values_of(SlotKey slot) {
  const auto [at, is_new] = values_.try_emplace(slot);
  Values& out = at->second;
  if (!is_new) return &out;
  const auto count = count_by_slot_.find(slot);
  if (count == count_by_slot_.end()) return &out;
  const auto entry = std::find_if(
      directory_.columns.begin(), directory_.columns.end(),
      [&](const ColumnEntry& c) { return c.id == ColumnId::kAttribute && c.slot == slot; });
  if (entry == directory_.columns.end()) return corruption("an attribute without its column");
  const std::string_view bytes = TRY(raw(*entry));
  std::vector<Value> values;
  values.reserve(count->second);
  if (slot.type == StoredType::kString || slot.type == StoredType::kWire) {
    std::vector<std::string_view> texts = TRY(decode_strings(bytes, count->second));
    for (const std::string_view text : texts) {
      if (slot.type == StoredType::kString) {
        values.push_back(Value::of_text(text));
        continue;
      }
      AttributeValue value;
      if (!read_value(text, value)) return corruption("a damaged attribute value");
      values.push_back(value_of(value));
    }
    if (slot.type == StoredType::kWire) out.wires = std::move(texts);
  } else {
    ByteReader in(as_bytes(bytes));
    for (std::uint32_t i = 0; i < count->second; ++i) {
      switch (slot.type) {
        case StoredType::kBool: values.push_back(Value::of_bool(in.u8() != 0)); break;
        case StoredType::kInt: values.push_back(Value::of_int(in.varint())); break;
        case StoredType::kDouble: values.push_back(Value::of_float(in.f64())); break;
        default: values.emplace_back();
      }
    }
    if (!in.ok() || !in.empty()) return corruption("attributes and rows do not fit");
  }
  out.values = std::move(values);
  return &out;
}

void GroupRows::read_column(const Attribute& attribute, Column& out) {
  Status status = fill(attribute, out);
  if (status.ok()) return;
  out.values.clear();
  fail(std::move(status).with_prefix(fmt::format("group at {}", info_.offset)));
}

Status GroupRows::fill(const Attribute& attribute, Column& out) {
  const auto has_key = [&](const std::vector<std::uint32_t>& keys) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](std::uint32_t key) { return directory_.keys[key] == attribute.name; });
  };
  const auto of_rest = [&](auto value) -> Status {
    TRY(load_rest());
    for (std::uint32_t row = 0; row < row_count(); ++row) out.values.push_back(value(row));
    return {};
  };
  switch (attribute.intrinsic) {
    case Intrinsic::kNone: break;
    case Intrinsic::kName:
      for (const std::string_view name : TRY(strings(ColumnId::kNames))) {
        out.values.push_back(Value::of_text(name));
      }
      return {};
    case Intrinsic::kStatusMessage:
      return of_rest([&](std::uint32_t row) {
        SpanRecord record;
        const bool has_text = status_in_rest_[row] != 0 && read_span(rests_[row], record) &&
                              !record.status_message.empty();
        return has_text ? Value::of_text(record.status_message) : Value();
      });
    case Intrinsic::kInstrumentationName:
    case Intrinsic::kInstrumentationVersion: return fill_envelope(attribute, out);
    case Intrinsic::kLinkTraceId:
    case Intrinsic::kLinkSpanId:
      return of_rest([&](std::uint32_t row) { return of_links(attribute, rests_[row]); });
    default:
      return of_rest([&](std::uint32_t row) {
        return of_events(attribute, rests_[row], basics_.starts_ns[row]);
      });
  }
  switch (attribute.scope) {
    case Scope::kSpan: return fill_span_attribute(attribute.name, out);
    case Scope::kEvent:
      if (!has_key(directory_.event_keys)) return {};
      return of_rest([&](std::uint32_t row) { return of_events(attribute, rests_[row], 0); });
    case Scope::kLink:
      if (!has_key(directory_.link_keys)) return {};
      return of_rest([&](std::uint32_t row) { return of_links(attribute, rests_[row]); });
    default: return fill_envelope(attribute, out);
  }
}

Status GroupRows::fill_span_attribute(const std::string& name, Column& out) {
  const auto key = std::find(directory_.keys.begin(), directory_.keys.end(), name);
  if (key == directory_.keys.end()) return {};
  const auto code = static_cast<std::uint32_t>(key - directory_.keys.begin());
  std::map<SlotKey, std::pair<const Values*, std::uint32_t>> next;
  for (const auto& [slot, count] : count_by_slot_) {
    if (slot.key == code) next[slot] = {TRY(values_of(slot)), 0};
  }
  if (next.empty()) return {};
  // Per shape the slots of this key, in order: the first one counts, each one moves on.
  std::vector<std::vector<SlotKey>> wanted(directory_.shapes.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (const SlotKey slot : directory_.shapes[i]) {
      if (slot.key == code) wanted[i].push_back(slot);
    }
  }
  out.values.resize(row_count());
  for (std::uint32_t row = 0; row < row_count(); ++row) {
    bool is_first = true;
    for (const SlotKey slot : wanted[shape_of_[row]]) {
      auto& [values, place] = next[slot];
      if (is_first) out.values[row] = values->values[place];
      is_first = false;
      ++place;
    }
  }
  return {};
}

Status GroupRows::fill_envelope(const Attribute& attribute, Column& out) {
  const bool is_resource = attribute.scope == Scope::kResource;
  const std::vector<StoredEnvelope>& table = is_resource ? directory_.resources : directory_.scopes;
  std::vector<Value> values(table.size());
  bool has_any = false;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto take = [&](std::string_view key, const AttributeValue& v) {
      if (key != attribute.name) return true;
      values[i] = value_of(v);
      return false;
    };
    if (attribute.intrinsic != Intrinsic::kNone) {
      const std::uint32_t field = attribute.intrinsic == Intrinsic::kInstrumentationName ? 1 : 2;
      ProtobufReader fields(table[i].wire);
      while (fields.next()) {
        const bool is_it = fields.field() == field && fields.type() == ProtobufReader::kBytes;
        if (is_it && !fields.bytes().empty()) values[i] = Value::of_text(fields.bytes());
      }
    } else if (is_resource) {
      for_each_resource_attribute(table[i].wire, take);
    } else {
      for_each_scope_attribute(table[i].wire, take);
    }
    has_any = has_any || !values[i].is_nil();
  }
  if (!has_any) return {};
  const std::vector<std::uint32_t> table_codes =
      TRY(codes(is_resource ? ColumnId::kResources : ColumnId::kScopes, table.size()));
  out.values.reserve(table_codes.size());
  for (const std::uint32_t code : table_codes) out.values.push_back(values[code]);
  return {};
}

std::vector<Attribute> GroupRows::attributes() {
  std::set<Attribute> found;
  const auto add = [&](Scope scope) {
    return [&found, scope](std::string_view key, const AttributeValue&) {
      found.insert({.scope = scope, .name = std::string(key)});
    };
  };
  for (const auto& [slot, count] : count_by_slot_) {
    found.insert({.scope = Scope::kSpan, .name = directory_.keys[slot.key]});
  }
  for (const std::uint32_t key : directory_.event_keys) {
    found.insert({.scope = Scope::kEvent, .name = directory_.keys[key]});
  }
  for (const std::uint32_t key : directory_.link_keys) {
    found.insert({.scope = Scope::kLink, .name = directory_.keys[key]});
  }
  for (const StoredEnvelope& e : directory_.resources) {
    for_each_resource_attribute(e.wire, add(Scope::kResource));
  }
  for (const StoredEnvelope& e : directory_.scopes) {
    for_each_scope_attribute(e.wire, add(Scope::kInstrumentation));
  }
  return {found.begin(), found.end()};
}

}  // namespace tarsier::tracing
