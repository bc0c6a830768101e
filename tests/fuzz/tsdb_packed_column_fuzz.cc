#include <bit>
#include <vector>

#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tsdb/chunk/packed_column.h"

namespace tarsier {

/// The first two bytes say how many values; whatever decodes comes back when encoded again.
void fuzz_one(Bytes input) {
  if (input.size() < 2) return;
  const std::vector<std::byte> column(input.begin() + 2, input.end());  // Overreads show.
  const std::size_t count = 1 + load_be<std::uint16_t>(input.data()) % tsdb::kVectorSamplesMax;
  std::vector<double> values(count);
  ByteReader in(column);
  if (tsdb::decode_values(in, values)) {
    for (const auto profile : {tsdb::ColumnProfile::kPacked, tsdb::ColumnProfile::kSmallest}) {
      std::string bytes;
      tsdb::encode_values(values, profile, bytes);
      std::vector<double> again(count);
      ByteReader back(as_bytes(bytes));
      CHECK(tsdb::decode_values(back, again) && back.empty());
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(std::bit_cast<std::uint64_t>(again[i]) == std::bit_cast<std::uint64_t>(values[i]));
      }
    }
  }
  std::vector<std::int64_t> numbers(count);
  ByteReader integers(column);
  static_cast<void>(tsdb::decode_integers(integers, numbers));
}

}  // namespace tarsier
