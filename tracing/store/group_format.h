#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tarsier::tracing {

// A group of whole traces in columns (FORMAT.md, "Group"). Numbers are stored: never renumber.

inline constexpr std::uint8_t kGroupVersion = 1;

enum class ColumnId : std::uint8_t {
  kTraces = 1,
  kSpanIds = 2,
  kParents = 3,
  kOrphans = 4,
  kStarts = 5,
  kDurations = 6,
  kKinds = 7,
  kNames = 8,
  kResources = 9,
  kScopes = 10,
  kShapes = 11,
  kRest = 12,
  kAttribute = 20,
};

/// How the values of an attribute column are written.
enum class StoredType : std::uint8_t {
  kEmpty = 0,
  kString = 1,
  kBool = 2,
  kInt = 3,
  kDouble = 4,
  kWire = 5,  ///< Bytes, lists and maps: the AnyValue message.
};

/// Rows and bytes a reader takes of one group, whatever it says.
inline constexpr std::uint32_t kGroupRowsMax = 1U << 22;
inline constexpr std::uint64_t kGroupBytesMax = std::uint64_t{1} << 31;

/// One attribute of a shape, or what an attribute column holds.
struct SlotKey {
  std::uint32_t key = 0;  ///< Index in the directory's keys.
  StoredType type = StoredType::kEmpty;
  auto operator<=>(const SlotKey&) const = default;
};

struct ColumnEntry {
  ColumnId id = ColumnId::kTraces;
  SlotKey slot;              ///< Of attribute columns.
  std::uint64_t offset = 0;  ///< From the group's begin.
  std::uint64_t size = 0;
  std::uint64_t raw_size = 0;
  std::uint32_t crc = 0;
  bool has_range = false;  ///< Of durations and integers.
  std::int64_t least = 0;
  std::int64_t greatest = 0;
  std::string filter;  ///< Of string values; empty: not known.
};

/// A Resource or InstrumentationScope message with its schema.
struct StoredEnvelope {
  std::string wire;
  std::string schema_url;
  auto operator<=>(const StoredEnvelope&) const = default;
};

/// What is known of a group without reading its columns.
struct GroupDirectory {
  std::uint32_t row_count = 0;
  std::uint32_t trace_count = 0;
  std::uint64_t start_min_ns = 0;
  std::uint64_t end_max_ns = 0;
  std::uint8_t kinds_seen = 0;     ///< A bit for each of the six; bit 7: others.
  std::uint8_t statuses_seen = 0;  ///< The same for the three.
  std::vector<std::string> keys;
  std::vector<std::uint32_t> event_keys;  ///< Indexes in `keys` that occur on events.
  std::vector<std::uint32_t> link_keys;
  std::vector<std::vector<SlotKey>> shapes;  ///< The attributes of a span, in their order.
  std::vector<StoredEnvelope> resources;
  std::vector<StoredEnvelope> scopes;
  std::vector<ColumnEntry> columns;

  const ColumnEntry* find(ColumnId id) const;
};

/// Where a group lies in its file, and what decides whether it is opened.
struct GroupInfo {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;            ///< Columns and directory.
  std::uint64_t directory_size = 0;  ///< The last bytes of it.
  std::uint64_t directory_raw_size = 0;
  std::uint32_t directory_crc = 0;
  std::uint32_t row_count = 0;
  std::uint32_t trace_count = 0;
  std::uint64_t start_min_ns = 0;
  std::uint64_t end_max_ns = 0;
};

void encode_directory(const GroupDirectory& directory, std::string& out);
/// Checks every index and size against the others; kCorruption names what is wrong.
Result<GroupDirectory> decode_directory(std::string_view bytes);

/// Appends strings: as codes of a dictionary if many are equal, else one after another.
void encode_strings(const std::vector<std::string_view>& values, std::string& out);
/// Exactly `count` of them; views into `bytes`.
Result<std::vector<std::string_view>> decode_strings(std::string_view bytes, std::size_t count);

}  // namespace tarsier::tracing
