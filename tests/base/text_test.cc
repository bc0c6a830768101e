// What we write for people and programs to read: JSON, logfmt, our own metrics.

#include <gtest/gtest.h>

#include "base/json_writer.h"
#include "base/metric.h"
#include "base/utf8.h"
#include "tests/support/capturing_logger.h"

namespace tarsier {
namespace {

TEST(JsonWriter, PlacesCommasAndEscapes) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("a", 1).key("b").begin_array().value("x\"\n\x01").value(true).null();
  json.value(0.1).end_array().key("c").begin_object().end_object().end_object();
  EXPECT_EQ(out, R"({"a":1,"b":["x\"\n\u0001",true,null,0.1],"c":{}})");
}

TEST(JsonWriter, ReplacesInvalidUtf8) {
  std::string out;
  append_json_string(out, "é\xff\xc3");
  EXPECT_EQ(out, "\"é\\ufffd\\ufffd\"");
  out.clear();
  append_json_string(out,
                     "a\xff"
                     "b\\\t\rc\xffé\"");
  EXPECT_EQ(out, R"("a\ufffdb\\\t\rc\ufffdé\"")");
}

TEST(Utf8, RejectsOverlongSurrogateAndTruncated) {
  EXPECT_TRUE(is_valid_utf8("plain ascii that is long enough for words, é, 漢, 😀"));
  for (const std::string_view bad :
       {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "abcdefgh\x80"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
  }
}

TEST(Utf8, AppendsEveryWidthAndNothingForSurrogates) {
  std::string out;
  for (const std::uint32_t c : {0x41u, 0xE9u, 0x6F22u, 0x1F600u}) EXPECT_TRUE(append_utf8(out, c));
  EXPECT_FALSE(append_utf8(out, 0xD800));
  EXPECT_FALSE(append_utf8(out, 0x110000));
  EXPECT_EQ(out, "Aé漢😀");
}

TEST(Logger, WritesLogfmtAndQuotesWhatNeedsIt) {
  testing::CapturingLogger log;
  log.warn("Segment repaired", {{"file", "wal/1"}, {"why", "torn \"tail\""}, {"none", ""}});
  ASSERT_EQ(log.lines().size(), 1u);
  EXPECT_EQ(log.lines()[0],
            R"(level=warn msg="Segment repaired" file=wal/1 why="torn \"tail\"" none="")");
}

TEST(MetricWriter, RendersFamiliesWithOneHeaderEach) {
  HistogramMetric histogram({0.1, 1});
  histogram.observe(0.1);
  histogram.observe(5);
  MetricWriter out;
  out.counter("c_total", "A\ncount.", 3, {{"code", "a\"b"}});
  out.counter("c_total", "A\ncount.", 4, {{"code", "c"}});
  out.histogram("h", "H.", histogram, {{"p", "q"}});
  EXPECT_EQ(out.take(), R"(# HELP c_total A\ncount.
# TYPE c_total counter
c_total{code="a\"b"} 3
c_total{code="c"} 4
# HELP h H.
# TYPE h histogram
h_bucket{p="q",le="0.1"} 1
h_bucket{p="q",le="1"} 1
h_bucket{p="q",le="+Inf"} 2
h_sum{p="q"} 5.1
h_count{p="q"} 2
)");
}

}  // namespace
}  // namespace tarsier
