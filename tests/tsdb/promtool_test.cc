// Prometheus' own tool reads our blocks, and we read its blocks. Runs where promtool is installed.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/posix_file.h"
#include "tests/support/temporary_directory.h"
#include "tsdb/block/block_querier.h"
#include "tsdb/block/block_set.h"
#include "tsdb/block/block_writer.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

constexpr std::int64_t kBegin = 1'700'000'000'000;

/// What a command prints; empty if it fails.
std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>&1").c_str(), "r"),
                                                   ::pclose);
  std::string text;
  char piece[4096];
  while (const std::size_t size = std::fread(piece, 1, sizeof piece, pipe.get())) {
    text.append(piece, size);
  }
  return text;
}

bool has_promtool() { return std::system("command -v promtool >/dev/null 2>&1") == 0; }

double value_of(int series, int sample) { return series * 1000 + sample / 8.0; }

std::string line_of(const Labels& labels, double v, std::int64_t t) {
  std::string text;
  for (const LabelView& label : labels) {
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ", ", label.name, label.value);
  }
  return fmt::format("{{{}}} {} {}", text, v, t);
}

std::vector<std::string> sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(Promtool, ReadsTheBlocksWeWrite) {
  if (!has_promtool()) GTEST_SKIP() << "promtool is not installed";
  testing::TemporaryDirectory directory;
  const auto files = make_posix_file_system();
  ASSERT_TRUE(files->create_directories(directory.path() + "/wal").ok());  // promtool wants one.
  std::vector<Labels> series;
  for (int i = 0; i < 100; ++i) {  // More than 32 values of a label.
    series.push_back(Labels{{"__name__", "requests_total"},
                            {"instance", fmt::format("host{:03}", i)},
                            {"job", "job" + std::to_string(i % 3)}});
  }
  BlockMeta meta;
  std::array<std::byte, 10> entropy{};
  meta.ulid = make_ulid(Timestamp{kBegin}, entropy);
  meta.sources = {meta.ulid};
  meta.min_time = Timestamp{kBegin};
  meta.max_time = Timestamp{kBegin + 7'200'000};
  SymbolSet symbols;
  for (const Labels& labels : series) symbols.add(labels);
  auto writer =
      BlockWriter::create(*files, directory.path(), meta, std::move(symbols), 4096).value();
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    XorEncoder encoders[2];
    std::vector<EncodedChunk> chunks(2);
    for (int n = 0; n < 60; ++n) {
      const Timestamp t{kBegin + n * 15'000};
      EncodedChunk& chunk = chunks[static_cast<std::size_t>(n / 30)];
      encoders[n / 30].append({t, value_of(i, n)});
      if (n % 30 == 0) chunk.min_time = t;
      chunk.max_time = t;
      expected.push_back(line_of(series[static_cast<std::size_t>(i)], value_of(i, n), t.ms));
    }
    for (std::size_t c = 0; c < 2; ++c)
      chunks[c].chunk = {ChunkEncoding::kXor, encoders[c].bytes()};
    ASSERT_TRUE(writer->add_series(series[static_cast<std::size_t>(i)], chunks).ok());
  }
  ASSERT_TRUE(writer->finish().ok());

  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(sorted_lines(output_of("promtool tsdb dump " + directory.path())), expected);
  const std::string list = output_of("promtool tsdb list " + directory.path());
  EXPECT_NE(list.find(meta.ulid.to_string()), std::string::npos) << list;
  EXPECT_NE(list.find("6000"), std::string::npos) << list;
  const std::string analysis = output_of("promtool tsdb analyze " + directory.path());
  EXPECT_NE(analysis.find("Postings (unique label pairs): 104"), std::string::npos) << analysis;
  EXPECT_NE(analysis.find("Postings entries (total label pairs): 300"), std::string::npos);
}

TEST(Promtool, WritesBlocksWeRead) {
  if (!has_promtool()) GTEST_SKIP() << "promtool is not installed";
  testing::TemporaryDirectory directory;
  const auto files = make_posix_file_system();
  const std::string text_path = directory.path() + "/in.om";
  std::string text = "# TYPE a gauge\n";
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    for (int n = 0; n < 150; ++n) {  // Longer than one chunk, longer than one block.
      const std::int64_t t = kBegin + n * 60'000;
      text += fmt::format("a{{host=\"h{}\"}} {} {}\n", i, value_of(i, n), t / 1000);
      expected.push_back(
          line_of(Labels{{"__name__", "a"}, {"host", fmt::format("h{}", i)}}, value_of(i, n), t));
    }
  }
  text += "# EOF\n";
  ASSERT_TRUE(write_file_atomically(*files, text_path, text).ok());
  const std::string data = directory.path() + "/data";
  const std::string made =
      output_of("promtool tsdb create-blocks-from openmetrics " + text_path + " " + data);

  NullLogger log;
  const auto set = BlockSet::open(*files, data, log).value();
  ASSERT_EQ(set->blocks()->size(), 2u) << made;
  std::vector<std::string> lines;
  for (const auto& block : *set->blocks()) {
    const auto querier = make_block_querier(block, TimeRange{});
    const auto selection = querier->select({Matcher::equal("__name__", "a")}, {}, nullptr).value();
    ASSERT_EQ(selection->size(), 50u);
    for (std::size_t i = 0; i < selection->size(); ++i) {
      SampleColumns columns;
      ASSERT_TRUE(selection->read(i, TimeRange{}, columns).ok());
      for (std::size_t n = 0; n < columns.size(); ++n) {
        lines.push_back(line_of(selection->labels(i), columns.values[n], columns.times_ms[n]));
      }
    }
  }
  std::sort(expected.begin(), expected.end());
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, expected);
}

}  // namespace
}  // namespace tarsier::tsdb
