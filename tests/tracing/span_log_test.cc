#include "tracing/buffer/span_log.h"

#include <gtest/gtest.h>

#include "tests/support/format_page.h"
#include "tests/tracing/buffer_fixture.h"

namespace tarsier::tracing {
namespace {

using tarsier::testing::FaultyFileSystem;
using testing::batch_of;

TEST(SpanLogFormat, ReadsTheWorkedExample) {
  const std::string example = tarsier::testing::format_example(
      std::string(TARSIER_SOURCE_DIR) + "/tracing/FORMAT.md", "Span log");
  int count = 0;
  const Status status =
      read_span_segment(example, [&](std::string_view payload, std::uint64_t offset) {
        ++count;
        EXPECT_EQ(offset, 8u);
        const LoggedSpans logged = decode_logged_spans(payload).value();
        EXPECT_EQ(logged.received, Timestamp{1'700'000'000'000});
        ASSERT_EQ(logged.batch->spans().size(), 1u);
        EXPECT_EQ(to_hex(logged.batch->spans()[0].trace_id), "0af7651916cd43dd8448eb211c80319c");
      });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(count, 1);
}

TEST(SpanLog, TellsWaitersOnceTheirBatchIsWritten) {
  FaultyFileSystem files;
  NullLogger quiet;
  const auto log = SpanLog::open(files, "spans", {}, quiet).value();
  const auto batch = batch_of({1, 1}, {{}});
  const SpanLog::Appended first = log->append(*batch, Timestamp{5});
  const SpanLog::Appended second = log->append(*batch, Timestamp{6});
  EXPECT_FALSE(log->is_written(*second.place));
  int told = 0;
  log->when_written(first.position, [&](const Status& s) { told += s.ok(); });
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(log->is_written(*second.place)) << "one write for all that gathered";
  EXPECT_EQ(log->read(*second.place).value()->wire(), batch->wire());
  log->when_written({}, [&](const Status& s) { told += s.ok(); });
  EXPECT_EQ(told, 2) << "nothing to wait for";
}

TEST(SpanLog, WritesAgainElsewhereWhatCouldNotBeWritten) {
  FaultyFileSystem files;
  NullLogger quiet;
  const auto log = SpanLog::open(files, "spans", {}, quiet).value();
  const auto batch = batch_of({1, 1}, {{}});
  files.fail_append(1);
  const SpanLog::Appended appended = log->append(*batch, Timestamp{5});
  Status told;
  log->when_written(appended.position, [&](const Status& s) { told = s; });
  EXPECT_EQ(told.code(), Code::kIo);
  EXPECT_FALSE(log->trouble().ok());
  EXPECT_TRUE(log->sync().ok());
  EXPECT_TRUE(log->trouble().ok());
  EXPECT_TRUE(log->is_written(*appended.place));
  EXPECT_EQ(appended.place->segment, 2u);
  files.fail_sync(1);
  EXPECT_FALSE(log->sync().ok());
  EXPECT_TRUE(log->sync().ok());
  const SpanLog::Appended next = log->append(*batch, Timestamp{6});
  log->when_written(next.position, [&](const Status& s) { told = s; });
  EXPECT_TRUE(told.ok());
  EXPECT_EQ(next.place->segment, 3u) << "no more is written behind a sync that failed";
  log->forget(*appended.place);
  EXPECT_EQ(log->removable_segments(), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_TRUE(log->remove_segments({1, 2}).ok());
  EXPECT_EQ(files.list("spans").value().size(), 1u);
}

}  // namespace
}  // namespace tarsier::tracing
