#include "ingest/exposition/packed_section.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "base/protobuf_reader.h"
#include "base/quote.h"
#include "base/utf8.h"

namespace tarsier::ingest {
namespace {

constexpr std::size_t kQuotedBytesMax = 200;

/// The text at `p`, which moves behind it; null data if there is none.
std::string_view take_text(const char*& p, const char* end) {
  std::uint64_t size = 0;
  if (!ProtobufReader::read_varint(p, end, size)) return {};
  if (size > static_cast<std::uint64_t>(end - p)) return {};
  const std::string_view text(p, static_cast<std::size_t>(size));
  p += size;
  return text;
}

Status check_text(std::string_view text, std::string_view what) {
  if (is_valid_utf8(text)) return {};
  return invalid(fmt::format("invalid UTF-8 {}: {}", what, quote(text.substr(0, kQuotedBytesMax))));
}

}  // namespace

void append_packed(std::string& section, std::string_view text) {
  std::size_t size = text.size();
  while (size >= 0x80) {
    section += static_cast<char>((size & 0x7F) | 0x80);
    size >>= 7;
  }
  section += static_cast<char>(size);
  section += text;
}

std::string_view packed_name(std::string_view section) {
  const char* p = section.data();
  return take_text(p, p + section.size());
}

Status read_packed(std::string_view section, std::vector<tsdb::LabelView>& out) {
  out.clear();
  const char* p = section.data();
  const char* const end = p + section.size();
  const std::string_view name = take_text(p, end);
  if (name.empty()) return invalid("metric name not set");
  TRY(check_text(name, "metric name"));
  out.push_back({tsdb::kMetricName, name});
  while (p != end) {
    const std::string_view label = take_text(p, end);
    const std::string_view value = take_text(p, end);
    if (label.data() == nullptr || value.data() == nullptr) return invalid("damaged labels");
    TRY(check_text(label, "label name"));
    TRY(check_text(value, "label value"));
    out.push_back({label, value});
  }
  return {};
}

std::string_view SectionArena::keep(std::string_view section) {
  if (blocks_.empty() || blocks_.back().size - blocks_.back().used < section.size()) {
    const std::size_t size = std::max(kBlockBytes, section.size());
    blocks_.push_back({.bytes = std::make_unique<char[]>(size), .size = size});
  }
  Block& block = blocks_.back();
  char* const place = block.bytes.get() + block.used;
  if (!section.empty()) std::memcpy(place, section.data(), section.size());
  block.used += section.size();
  return {place, section.size()};
}

void SectionArena::clear() {
  if (blocks_.empty()) return;
  blocks_.resize(1);
  blocks_[0].used = 0;
}

}  // namespace tarsier::ingest
