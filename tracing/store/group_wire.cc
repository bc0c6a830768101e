// Makes the messages of stored spans anew.

#include <algorithm>
#include <array>
#include <string>

#include "base/bytes.h"
#include "base/protobuf_writer.h"
#include "tracing/store/group_rows.h"

namespace tarsier::tracing {
namespace {

constexpr std::uint32_t kFixed64Type = 1;

void put_fixed64(std::string& out, std::uint32_t field, std::uint64_t v) {
  put_uvarint(out, std::uint64_t{field} << 3 | kFixed64Type);
  for (int i = 0; i < 8; ++i, v >>= 8) out += static_cast<char>(v & 0xFF);
}

template <typename Id>
std::string id_bytes(Id id) {
  std::string out;
  append_bytes(out, id);
  return out;
}

}  // namespace

/// Reads every column and notes where each row's attributes lie in theirs.
Status GroupRows::prepare_wires() {
  if (!first_attribute_.empty()) return {};
  TRY(load_rest());
  names_ = TRY(strings(ColumnId::kNames));
  resource_of_ = TRY(codes(ColumnId::kResources, directory_.resources.size()));
  scope_of_ = TRY(codes(ColumnId::kScopes, directory_.scopes.size()));
  for (const auto& [slot, count] : count_by_slot_) TRY(values_of(slot).status());
  std::map<SlotKey, std::uint32_t> next;
  std::vector<std::uint32_t> first;
  for (const std::uint32_t shape : shape_of_) {
    first.push_back(static_cast<std::uint32_t>(place_.size()));
    for (const SlotKey slot : directory_.shapes[shape]) place_.push_back(next[slot]++);
  }
  first_attribute_ = std::move(first);
  return {};
}

void GroupRows::append_attribute(std::string& out, SlotKey slot, std::uint32_t index,
                                 const Values& values) {
  std::string value;
  ProtobufWriter writer(value);
  switch (slot.type) {
    case StoredType::kEmpty: break;
    case StoredType::kString: writer.bytes(1, values.values[index].text()); break;
    case StoredType::kBool: writer.varint(2, values.values[index].is_true() ? 1 : 0); break;
    case StoredType::kInt: writer.integer(3, values.values[index].integer()); break;
    case StoredType::kDouble: writer.real(4, values.values[index].number()); break;
    case StoredType::kWire: value = values.wires[index]; break;
  }
  std::string attribute;
  ProtobufWriter parts(attribute);
  parts.bytes(1, directory_.keys[slot.key]);
  parts.bytes(2, value);
  ProtobufWriter(out).bytes(9, attribute);
}

Result<KeptSpan> GroupRows::wire(std::uint32_t row) {
  TRY(prepare_wires());
  const auto [at, is_new] = wires_.try_emplace(row);
  std::string& out = at->second;
  if (is_new) {
    ProtobufWriter writer(out);
    writer.bytes(1, id_bytes(basics_.trace_ids[basics_.trace_of[row]]));
    writer.bytes(2, id_bytes(basics_.span_ids[row]));
    if (basics_.parent_ids[row].is_valid()) writer.bytes(4, id_bytes(basics_.parent_ids[row]));
    if (!names_[row].empty()) writer.bytes(5, names_[row]);
    if (basics_.kinds[row] != 0) writer.integer(6, basics_.kinds[row]);
    put_fixed64(out, 7, basics_.starts_ns[row]);
    put_fixed64(out, 8, basics_.ends_ns[row]);
    std::uint32_t place = first_attribute_[row];
    for (const SlotKey slot : directory_.shapes[shape_of_[row]]) {
      append_attribute(out, slot, place_[place++], values_.at(slot));
    }
    out += rests_[row];
    if (status_in_rest_[row] == 0 && basics_.statuses[row] != 0) {
      std::string status;
      ProtobufWriter(status).integer(3, basics_.statuses[row]);
      writer.bytes(15, status);
    }
  }
  const StoredEnvelope& resource = directory_.resources[resource_of_[row]];
  const StoredEnvelope& scope = directory_.scopes[scope_of_[row]];
  return KeptSpan{.resource = resource.wire,
                  .resource_schema_url = resource.schema_url,
                  .scope = scope.wire,
                  .scope_schema_url = scope.schema_url,
                  .span = out};
}

}  // namespace tarsier::tracing
