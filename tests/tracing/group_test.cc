#include <algorithm>
#include <iostream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/tracing/shop.h"
#include "tests/tracing/span_lab.h"
#include "tracing/store/group_rows.h"
#include "tracing/store/group_writer.h"
#include "tracing/traceql/value.h"

namespace tarsier::tracing {
namespace {

GroupBytes bytes_of(const EncodedGroup& group) {
  return [&group](std::uint64_t offset, std::uint64_t size) -> Result<std::string> {
    if (offset > group.bytes.size() || size > group.bytes.size() - offset) {
      return corruption("past the end");
    }
    return group.bytes.substr(offset, size);
  };
}

EncodedGroup encoded(SpanRows& rows) {
  std::vector<std::uint32_t> all(rows.traces().size());
  std::iota(all.begin(), all.end(), 0U);
  Result<EncodedGroup> group = encode_group(rows, all);
  CHECK(group.ok(), group.status().message());
  return std::move(*group);
}

Result<std::unique_ptr<GroupRows>> opened(const EncodedGroup& group) {
  const GroupBytes read = bytes_of(group);
  return GroupRows::open(group.info, TRY(read_directory(group.info, read)), read);
}

/// Everything a span holds, as text: whatever way its bytes are ordered.
std::string content(const KeptSpan& span) {
  std::vector<std::string> parts;
  ProtobufReader fields(span.span);
  std::size_t begin = 0;
  while (fields.next()) {
    parts.emplace_back(span.span.substr(begin, fields.offset() - begin));
    begin = fields.offset();
  }
  EXPECT_TRUE(fields.ok());
  // Attributes keep their order among themselves; fields do not.
  std::stable_sort(parts.begin(), parts.end(),
                   [](const std::string& a, const std::string& b) { return a[0] < b[0]; });
  std::string out;
  for (const std::string& part : parts) out += part;
  return out + "|" + std::string(span.resource) + "|" + std::string(span.resource_schema_url) +
         "|" + std::string(span.scope) + "|" + std::string(span.scope_schema_url);
}

std::vector<std::string> contents(SpanRows& rows) {
  std::vector<std::string> out;
  for (std::uint32_t row = 0; row < rows.row_count(); ++row) {
    const Result<KeptSpan> span = rows.wire(row);
    EXPECT_TRUE(span.ok());
    if (span.ok()) out.push_back(content(*span));
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Group, GivesBackEverySpan) {
  Shop shop(1, 60);
  WireRows rows(shop.traces());
  const EncodedGroup group = encoded(rows);
  auto read = opened(group);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ((*read)->row_count(), rows.row_count());
  EXPECT_EQ(contents(**read), contents(rows));
}

TEST(Group, KeepsWhatIsUnusual) {
  SpanLab lab;
  std::vector<KeptSpan> parts;
  const TraceId id{.high = 7, .low = 9};
  SpanWriter odd(id, SpanId{5});
  odd.parent(SpanId{77}).times(100, 50).kind(static_cast<SpanKind>(9)).trace_state("a=b");
  odd.status(static_cast<StatusCode>(7)).flags(0x301).dropped_attributes(3).dropped_events(4);
  odd.attribute("k", "first").attribute("k", 2).attribute("", true).attribute("d", -0.0);
  odd.attribute_wire("empty", "").attribute_wire("bytes", ValueWriter::of_bytes("\x00\xff"));
  std::string list;
  ValueWriter::append_array_element(list, ValueWriter::of(1));
  odd.attribute_wire("list", ValueWriter::of_array(list));
  odd.link(LinkWriter(TraceId{.low = 1}, SpanId{2}).attribute("l", "v"));
  odd.event(EventWriter(120, "e").attribute("w", 1));
  const std::string unknown = odd.wire() + std::string("\x9a\x06\x03new", 6);
  parts.push_back({.resource_schema_url = "https://schema", .span = unknown});
  SpanWriter told(id, SpanId{6});
  told.status(StatusCode::kError, "boom").times(0, ~std::uint64_t{0});
  parts.push_back({.span = told.wire()});
  const KeptTrace trace{.trace_id = id, .spans = parts};
  WireRows rows({&trace, 1});
  const EncodedGroup group = encoded(rows);
  auto read = opened(group);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(contents(**read), contents(rows));
  using traceql::Intrinsic;
  using traceql::Scope;
  const auto shown = [&](const traceql::Attribute& attribute) {
    std::string out;
    for (std::uint32_t row = 0; row < 2; ++row) {
      EXPECT_TRUE(is_same((*read)->column(attribute).at(row), rows.column(attribute).at(row)));
      out += display((*read)->column(attribute).at(row)) + " ";
    }
    return out;
  };
  EXPECT_EQ(shown({.intrinsic = Intrinsic::kStatusMessage}), "boom nil ");
  EXPECT_EQ(shown({.scope = Scope::kSpan, .name = "k"}), "nil first ");
  EXPECT_EQ(shown({.scope = Scope::kSpan, .name = "list"}), "nil [1] ");
  EXPECT_EQ(shown({.scope = Scope::kEvent, .name = "w"}), "nil 1 ");
  EXPECT_EQ(shown({.scope = Scope::kLink, .name = "l"}), "nil v ");
  EXPECT_EQ(shown({.intrinsic = Intrinsic::kEventTimeSinceStart}), "nil 20ns ");
}

TEST(Group, ShowsTheColumnsOfTheWire) {
  Shop shop(3, 40);
  WireRows rows(shop.traces());
  const EncodedGroup group = encoded(rows);
  auto read = opened(group);
  ASSERT_TRUE(read.ok());
  std::vector<traceql::Attribute> names = rows.attributes();
  EXPECT_EQ(names, (*read)->attributes());
  for (int i = 1; i <= static_cast<int>(traceql::Intrinsic::kInstrumentationVersion); ++i) {
    names.push_back({.intrinsic = static_cast<traceql::Intrinsic>(i)});
  }
  for (const traceql::Attribute& a : rows.attributes()) names.push_back({.name = a.name});
  // Rows of the same span, whatever order the traces are in.
  std::map<std::uint64_t, std::uint32_t> row_of;
  for (std::uint32_t row = 0; row < rows.row_count(); ++row) {
    row_of[rows.basics().span_ids[row].value] = row;
  }
  for (const traceql::Attribute& name : names) {
    SCOPED_TRACE(name.name + " " + std::to_string(static_cast<int>(name.intrinsic)));
    const traceql::FieldColumn& stored = (*read)->column(name);
    const traceql::FieldColumn& sent = rows.column(name);
    for (std::uint32_t row = 0; row < (*read)->row_count(); ++row) {
      const std::uint32_t there = row_of.at((*read)->basics().span_ids[row].value);
      ASSERT_TRUE(is_same(stored.at(row), sent.at(there)))
          << display(stored.at(row)) << " and " << display(sent.at(there));
    }
  }
  EXPECT_TRUE((*read)->status().ok());
}

TEST(Group, NamesDamageInsteadOfShowingIt) {
  Shop shop(2, 30);
  WireRows rows(shop.traces());
  const EncodedGroup good = encoded(rows);
  std::mt19937 random(4);
  const std::vector<std::string> expected = contents(rows);
  for (int i = 0; i < 400; ++i) {
    EncodedGroup bad = good;
    const std::size_t at = random() % bad.bytes.size();
    bad.bytes[at] = static_cast<char>(bad.bytes[at] ^ (1 << random() % 8));
    SCOPED_TRACE("byte " + std::to_string(at));
    auto read = opened(bad);
    if (!read.ok()) {
      EXPECT_EQ(read.status().code(), Code::kCorruption);
      continue;
    }
    bool is_found = false;
    for (std::uint32_t row = 0; row < (*read)->row_count() && !is_found; ++row) {
      is_found = !(*read)->wire(row).ok();
    }
    EXPECT_TRUE(is_found);
  }
}

TEST(Group, PrintsBytesPerSpan) {
  Shop shop(5, 700);
  WireRows rows(shop.traces());
  const EncodedGroup group = encoded(rows);
  std::size_t wire = 0;
  for (const KeptTrace& trace : shop.traces()) {
    for (const KeptSpan& span : trace.spans) wire += span.span.size();
  }
  std::cout << rows.row_count() << " spans of " << wire / rows.row_count()
            << " bytes: " << static_cast<double>(group.bytes.size()) / rows.row_count()
            << " bytes/span\n";
  const GroupBytes read = bytes_of(group);
  const Result<GroupDirectory> directory = read_directory(group.info, read);
  ASSERT_TRUE(directory.ok());
  std::size_t filters = 0;
  for (const ColumnEntry& c : directory->columns) {
    filters += c.filter.size();
    const std::string name = c.id == ColumnId::kAttribute ? directory->keys[c.slot.key] : "";
    if (c.size * 10 > rows.row_count()) {
      std::cout << "  column " << static_cast<int>(c.id) << " " << name << " "
                << static_cast<double>(c.size) / rows.row_count() << "\n";
    }
  }
  std::cout << "  filters " << static_cast<double>(filters) / rows.row_count() << ", directory "
            << static_cast<double>(group.info.directory_size) / rows.row_count() << "\n";
  EXPECT_LT(static_cast<double>(group.bytes.size()) / rows.row_count(), 45.0);
}

}  // namespace
}  // namespace tarsier::tracing
