// The worked examples of FORMAT.md.

#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/format_page.h"
#include "tracing/span_writer.h"
#include "tracing/store/kept_log.h"
#include "tracing/store/store_snapshot.h"
#include "tracing/trace_store.h"

namespace tarsier::tracing {
namespace {

constexpr Timestamp kFiled{1'700'000'000'000};
const TraceId kId{.high = 0x0102030405060708, .low = 0x090a0b0c0d0e0f10};

std::string span_wire() {
  SpanWriter span(kId, SpanId{0x1112131415161718});
  const UnixNanos start = static_cast<UnixNanos>(kFiled.ms) * 1'000'000;
  span.name("op").kind(SpanKind::kServer).times(start, start + 5);
  return span.attribute("k", "v").wire();
}

std::string page() { return std::string(TARSIER_SOURCE_DIR) + "/tracing/FORMAT.md"; }

/// Prints what the page shows, for whoever writes it.
void print_hex(const std::string& bytes) {
  if (std::getenv("TARSIER_UPDATE_GOLDEN") == nullptr) return;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::printf("%02x%s", static_cast<unsigned char>(bytes[i]),
                i % 32 == 31 ? "\n"
                : i % 4 == 3 ? " "
                             : "");
  }
  std::printf("\n");
}

TEST(StoreFormat, DecodesTheExampleOfTheLog) {
  const std::string wire = span_wire();
  const KeptSpan span{.span = wire};
  const KeptTrace trace{.trace_id = kId, .spans = {&span, 1}};
  testing::FaultyFileSystem written;
  ASSERT_TRUE(written.create_directories("log").ok());
  auto writer = KeptLogWriter::open(written, "log", 1);
  ASSERT_TRUE(writer.ok() && (*writer)->append(encode_kept({&trace, 1}, kFiled)).ok());
  print_hex(*read_file(written, "log/00000001", 1 << 20));

  testing::FaultyFileSystem disk;
  ASSERT_TRUE(disk.create_directories("log").ok());
  const std::string bytes = testing::format_example(page(), "Log of kept traces");
  auto file = disk.open_writable("log/00000001", OpenMode::kTruncate);
  ASSERT_TRUE(file.ok() && (*file)->append(as_bytes(bytes)).ok());
  NullLogger log;
  std::vector<TraceFragment> found;
  const auto replay = replay_kept_log(disk, "log", 0, log, [&](std::vector<TraceFragment> f) {
    for (TraceFragment& fragment : f) found.push_back(std::move(fragment));
  });
  ASSERT_TRUE(replay.ok());
  EXPECT_EQ(replay->bytes_lost, 0u);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, kId);
  EXPECT_EQ(found[0].filed, kFiled);
  ASSERT_EQ(found[0].spans.size(), 1u);
  EXPECT_EQ(found[0].spans[0].span, wire);
}

TEST(StoreFormat, DecodesTheExampleOfTheBlock) {
  const std::string wire = span_wire();
  const KeptSpan span{.span = wire};
  const KeptTrace trace{.trace_id = kId, .spans = {&span, 1}};
  NullLogger log;
  testing::FaultyFileSystem written;
  auto store = TraceStore::open(written, "traces", {}, log, kFiled);
  ASSERT_TRUE(store.ok() && (*store)->keep({&trace, 1}, kFiled).ok());
  ASSERT_TRUE((*store)->flush(kFiled).ok());
  print_hex(*read_file(written, (*store)->snapshot()->blocks[0]->path(), 1 << 20));

  testing::FaultyFileSystem disk;
  ASSERT_TRUE(disk.create_directories("blocks").ok());
  const std::string bytes = testing::format_example(page(), "Block");
  const std::string path = "blocks/" + block_file_name(1);
  auto file = disk.open_writable(path, OpenMode::kTruncate);
  ASSERT_TRUE(file.ok() && (*file)->append(as_bytes(bytes)).ok());
  const auto block = TraceBlock::open(disk, path);
  ASSERT_TRUE(block.ok()) << block.status().message();
  EXPECT_EQ((*block)->meta().sequence, 1u);
  EXPECT_EQ((*block)->meta().log_segment_max, 1u);
  EXPECT_EQ((*block)->meta().filed_min, kFiled);
  const auto places = (*block)->find(kId);
  ASSERT_TRUE(places.ok() && places->size() == 1u);
  auto rows = TracePart::of_block(*block, 0).open();
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  EXPECT_EQ((*rows)->wire(0)->span, wire);
  const Result<BlockSummary> summary = (*block)->summary();
  ASSERT_TRUE(summary.ok());
  EXPECT_TRUE(summary->operations.contains(std::string(kNoServiceName)));
}

}  // namespace
}  // namespace tarsier::tracing
