// The worked example of FORMAT.md, "Sealed block", is the file the writer makes.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tsdb/block/sealed_columns.h"

namespace tarsier::tsdb {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

TEST(SealedFormatPage, ShowsWhatIsWritten) {
  testing::FaultyFileSystem files;
  const std::vector<std::int64_t> times = {1'700'000'000'000, 1'700'000'015'000, 1'700'000'030'000,
                                           1'700'000'045'000};
  const std::vector<double> values = {1, 2.5, 2.5, stale_marker()};
  const auto writer = SealedColumnsWriter::create(files, ".", ColumnProfile::kPacked).value();
  const std::uint64_t ref = writer->append_floats(times, values).value();
  ASSERT_TRUE(writer->finish().ok());
  const std::string page = std::string(TARSIER_SOURCE_DIR) + "/tsdb/FORMAT.md";
  const std::string written = read_file(files, "./columns", 1 << 20).value();
  EXPECT_EQ(hex(testing::format_example(page, "Sealed block")), hex(written));

  const auto reader = SealedColumnsReader::open(files, ".").value();
  SampleColumns columns;
  ASSERT_TRUE(reader->read(ref, {TimeRange{}, columns, nullptr}).ok());
  EXPECT_EQ(columns.times_ms, times);
  EXPECT_EQ(columns.values[2], 2.5);
  EXPECT_TRUE(is_stale_marker(columns.values[3]));
}

}  // namespace
}  // namespace tarsier::tsdb
