#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracing/store/group_format.h"
#include "tracing/store/span_rows.h"

namespace tarsier::tracing {

/// Reads `size` bytes of a group from `offset`; kCorruption when they are not there.
using GroupBytes = std::function<Result<std::string>(std::uint64_t offset, std::uint64_t size)>;

/// Reads and checks the directory of a group.
Result<GroupDirectory> read_directory(const GroupInfo& info, const GroupBytes& read);

/// The rows of one stored group. Opening reads what every row has; any other column is read when it
/// is first asked for. One thread at a time.
class GroupRows final : public SpanRows {
 public:
  static Result<std::unique_ptr<GroupRows>> open(const GroupInfo& info, GroupDirectory directory,
                                                 GroupBytes read);

  /// Makes every span's message anew: equal in content to what was sent, its fields in our order.
  Result<KeptSpan> wire(std::uint32_t row) override;
  std::vector<traceql::Attribute> attributes() override;
  /// Bytes read so far, as stored.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  /// An attribute column with its values in the order of rows.
  struct Values {
    std::vector<traceql::Value> values;
    std::vector<std::string_view> wires;  ///< Of StoredType::kWire.
  };

  GroupRows(const GroupInfo& info, GroupDirectory directory, GroupBytes read)
      : info_(info), directory_(std::move(directory)), read_(std::move(read)) {}
  Status load_basics();
  Status load_traces();
  Status load_parents();
  Status load_times();
  Status load_kinds();
  Status load_shapes();
  /// The bytes of a column, decompressed and kept.
  Result<std::string_view> raw(const ColumnEntry& entry);
  Result<std::string_view> raw(ColumnId id);
  Result<std::vector<std::uint32_t>> codes(ColumnId id, std::size_t limit);
  /// Sorts out what a shape says of a key.
  Result<const Values*> values_of(SlotKey slot);
  Result<std::vector<std::string_view>> strings(ColumnId id);
  Status load_rest();
  Status fill(const traceql::Attribute& attribute, Column& out);
  Status fill_span_attribute(const std::string& name, Column& out);
  Status fill_envelope(const traceql::Attribute& attribute, Column& out);
  void read_column(const traceql::Attribute& attribute, Column& out) override;
  Status prepare_wires();
  void append_attribute(std::string& out, SlotKey slot, std::uint32_t index, const Values& values);

  const GroupInfo info_;
  const GroupDirectory directory_;
  const GroupBytes read_;
  std::uint64_t bytes_read_ = 0;
  std::map<const ColumnEntry*, std::string> raw_;
  std::vector<std::uint8_t> status_in_rest_;
  std::vector<std::uint32_t> shape_of_;
  std::map<SlotKey, std::uint32_t> count_by_slot_;
  std::map<SlotKey, Values> values_;
  std::vector<std::string_view> rests_;
  // For wires: where a row's attributes begin, and each one's place in its column.
  std::vector<std::uint32_t> first_attribute_;
  std::vector<std::uint32_t> place_;
  std::vector<std::string_view> names_;
  std::vector<std::uint32_t> resource_of_;
  std::vector<std::uint32_t> scope_of_;
  std::map<std::uint32_t, std::string> wires_;
};

}  // namespace tarsier::tracing
