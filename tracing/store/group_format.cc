#include "tracing/store/group_format.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "base/bytes.h"

namespace tarsier::tracing {
namespace {

constexpr std::uint8_t kPlain = 0;
constexpr std::uint8_t kDictionary = 1;

void put_envelopes(std::string& out, const std::vector<StoredEnvelope>& envelopes) {
  put_uvarint(out, envelopes.size());
  for (const StoredEnvelope& e : envelopes) {
    put_string(out, e.wire);
    put_string(out, e.schema_url);
  }
}

void put_indexes(std::string& out, const std::vector<std::uint32_t>& indexes) {
  put_uvarint(out, indexes.size());
  for (const std::uint32_t i : indexes) put_uvarint(out, i);
}

void put_column(std::string& out, const ColumnEntry& column) {
  put_u8(out, static_cast<std::uint8_t>(column.id));
  put_uvarint(out, column.slot.key);
  put_u8(out, static_cast<std::uint8_t>(column.slot.type));
  put_uvarint(out, column.offset);
  put_uvarint(out, column.size);
  put_uvarint(out, column.raw_size);
  put_be32(out, column.crc);
  put_u8(out, column.has_range ? 1 : 0);
  if (column.has_range) {
    put_varint(out, column.least);
    put_varint(out, column.greatest);
  }
  put_string(out, column.filter);
}

/// Reads the parts of a directory; a count is never trusted beyond the bytes that are left.
class DirectoryReader final {
 public:
  explicit DirectoryReader(std::string_view bytes) : in_(as_bytes(bytes)) {}

  Result<GroupDirectory> run() {
    if (const std::uint8_t version = in_.u8(); version != kGroupVersion) {
      return corruption(fmt::format("group directory: unknown version {}", version));
    }
    GroupDirectory out;
    out.row_count = number32();
    out.trace_count = number32();
    out.start_min_ns = in_.be64();
    out.end_max_ns = in_.be64();
    out.kinds_seen = in_.u8();
    out.statuses_seen = in_.u8();
    repeat([&] { out.keys.emplace_back(in_.string()); });
    repeat([&] { out.event_keys.push_back(key(out)); });
    repeat([&] { out.link_keys.push_back(key(out)); });
    repeat([&] {
      std::vector<SlotKey>& shape = out.shapes.emplace_back();
      repeat([&] { shape.push_back(slot(out)); });
    });
    repeat([&] { out.resources.push_back(envelope()); });
    repeat([&] { out.scopes.push_back(envelope()); });
    repeat([&] { out.columns.push_back(column(out)); });
    const bool is_sane = in_.ok() && in_.empty() && is_valid_ && out.row_count > 0 &&
                         out.row_count <= kGroupRowsMax && out.trace_count > 0 &&
                         out.trace_count <= out.row_count;
    if (!is_sane) {
      return corruption(fmt::format("group directory: damaged near byte {}", in_.offset()));
    }
    return out;
  }

 private:
  template <typename Body>
  void repeat(Body body) {
    const std::uint64_t count = in_.uvarint();
    if (count > in_.remaining()) is_valid_ = false;
    for (std::uint64_t i = 0; i < count && in_.ok() && is_valid_; ++i) body();
  }
  std::uint32_t number32() {
    const std::uint64_t n = in_.uvarint();
    if (n > 0xFFFFFFFF) is_valid_ = false;
    return static_cast<std::uint32_t>(n);
  }
  std::uint32_t key(const GroupDirectory& directory) {
    const std::uint32_t index = number32();
    if (index >= directory.keys.size()) is_valid_ = false;
    return index;
  }
  SlotKey slot(const GroupDirectory& directory) {
    const std::uint32_t index = key(directory);
    const std::uint8_t type = in_.u8();
    if (type > static_cast<std::uint8_t>(StoredType::kWire)) is_valid_ = false;
    return {.key = index, .type = static_cast<StoredType>(type)};
  }
  StoredEnvelope envelope() {
    std::string wire(in_.string());
    return {.wire = std::move(wire), .schema_url = std::string(in_.string())};
  }
  ColumnEntry column(const GroupDirectory& directory) {
    ColumnEntry out;
    out.id = static_cast<ColumnId>(in_.u8());
    if (out.id == ColumnId::kAttribute) {
      out.slot = slot(directory);
    } else {
      in_.uvarint();
      in_.u8();
    }
    out.offset = in_.uvarint();
    out.size = in_.uvarint();
    out.raw_size = in_.uvarint();
    out.crc = in_.be32();
    out.has_range = in_.u8() != 0;
    if (out.has_range) {
      out.least = in_.varint();
      out.greatest = in_.varint();
    }
    out.filter = in_.string();
    const bool is_sane = out.offset <= kGroupBytesMax && out.size <= kGroupBytesMax &&
                         out.raw_size <= kGroupBytesMax;
    if (!is_sane) is_valid_ = false;
    return out;
  }

  ByteReader in_;
  bool is_valid_ = true;
};

}  // namespace

const ColumnEntry* GroupDirectory::find(ColumnId id) const {
  const auto it = std::find_if(columns.begin(), columns.end(),
                               [&](const ColumnEntry& c) { return c.id == id; });
  return it == columns.end() ? nullptr : &*it;
}

void encode_directory(const GroupDirectory& directory, std::string& out) {
  put_u8(out, kGroupVersion);
  put_uvarint(out, directory.row_count);
  put_uvarint(out, directory.trace_count);
  put_be64(out, directory.start_min_ns);
  put_be64(out, directory.end_max_ns);
  put_u8(out, directory.kinds_seen);
  put_u8(out, directory.statuses_seen);
  put_uvarint(out, directory.keys.size());
  for (const std::string& key : directory.keys) put_string(out, key);
  put_indexes(out, directory.event_keys);
  put_indexes(out, directory.link_keys);
  put_uvarint(out, directory.shapes.size());
  for (const std::vector<SlotKey>& shape : directory.shapes) {
    put_uvarint(out, shape.size());
    for (const SlotKey& slot : shape) {
      put_uvarint(out, slot.key);
      put_u8(out, static_cast<std::uint8_t>(slot.type));
    }
  }
  put_envelopes(out, directory.resources);
  put_envelopes(out, directory.scopes);
  put_uvarint(out, directory.columns.size());
  for (const ColumnEntry& column : directory.columns) put_column(out, column);
}

Result<GroupDirectory> decode_directory(std::string_view bytes) {
  return DirectoryReader(bytes).run();
}

void encode_strings(const std::vector<std::string_view>& values, std::string& out) {
  std::unordered_map<std::string_view, std::uint32_t> codes;
  std::vector<std::string_view> dictionary;
  std::vector<std::uint32_t> coded;
  coded.reserve(values.size());
  for (const std::string_view value : values) {
    const auto [at, is_new] =
        codes.try_emplace(value, static_cast<std::uint32_t>(dictionary.size()));
    if (is_new) dictionary.push_back(value);
    coded.push_back(at->second);
  }
  if (dictionary.size() * 2 > values.size()) {
    put_u8(out, kPlain);
    for (const std::string_view value : values) put_uvarint(out, value.size());
    for (const std::string_view value : values) out += value;
    return;
  }
  put_u8(out, kDictionary);
  put_uvarint(out, dictionary.size());
  for (const std::string_view value : dictionary) put_string(out, value);
  for (const std::uint32_t code : coded) put_uvarint(out, code);
}

Result<std::vector<std::string_view>> decode_strings(std::string_view bytes, std::size_t count) {
  ByteReader in(as_bytes(bytes));
  const std::uint8_t mode = in.u8();
  std::vector<std::string_view> out;
  if (count > bytes.size()) return corruption("fewer strings than rows");
  out.reserve(count);
  if (mode == kPlain) {
    std::vector<std::uint64_t> sizes;
    sizes.reserve(count);
    for (std::size_t i = 0; i < count; ++i) sizes.push_back(in.uvarint());
    for (const std::uint64_t size : sizes) out.push_back(as_text(in.take(size)));
  } else if (mode == kDictionary) {
    const std::uint64_t size = in.uvarint();
    if (size > in.remaining()) return corruption("a dictionary larger than its column");
    std::vector<std::string_view> dictionary;
    for (std::uint64_t i = 0; i < size; ++i) dictionary.push_back(in.string());
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t code = in.uvarint();
      if (code >= dictionary.size()) return corruption("a code outside its dictionary");
      out.push_back(dictionary[code]);
    }
  } else {
    return corruption(fmt::format("unknown form {} of strings", mode));
  }
  if (!in.ok() || !in.empty()) return corruption("a string column of a wrong size");
  return out;
}

}  // namespace tarsier::tracing
