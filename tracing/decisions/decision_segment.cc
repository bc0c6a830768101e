#include "tracing/decisions/decision_segment.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kLogMagic = "TDECLOG1";
constexpr std::string_view kSealedMagic = "TDECSEA1";
constexpr std::size_t kFrameHeaderBytes = 8;
constexpr std::size_t kFooterBytes = 36;
constexpr std::size_t kPageDecisions = 272;
constexpr std::size_t kPageTrailerBytes = 16;
constexpr std::size_t kNameBytesMax = 1024;
constexpr std::size_t kNamesBytesMax = std::size_t{2} << 20;
static_assert(kPageDecisions * kDecisionBytes + kPageTrailerBytes == kDecisionPageBytes);
// A decision takes at most 16 bytes of its page.
static_assert(kDecisionPageBytes / kPageDecisions < 16);

enum class FrameType : std::uint8_t { kName = 1, kDecisions = 2 };

void put_entry(std::string& out, const DecisionTable::Entry& entry) {
  for (int shift = 48; shift >= 0; shift -= 8) {
    put_u8(out, static_cast<std::uint8_t>(entry.fingerprint.value >> shift));
  }
  put_be64(out, entry.decision.bits);
}

DecisionTable::Entry read_entry(const std::byte* p) {
  std::uint64_t fingerprint = 0;
  for (std::size_t i = 0; i < 7; ++i)
    fingerprint = fingerprint << 8 | static_cast<std::uint8_t>(p[i]);
  return {{fingerprint}, {load_be<std::uint64_t>(p + 7)}};
}

void append_frame(std::string& out, std::string_view payload) {
  put_be32(out, static_cast<std::uint32_t>(payload.size()));
  put_be32(out, crc32c(as_bytes(payload)));
  out += payload;
}

Status read_frame(std::string_view payload, DecisionTable& table) {
  ByteReader in(as_bytes(payload));
  const auto type = static_cast<FrameType>(in.u8());
  if (type == FrameType::kName) {
    const std::uint16_t number = in.be16();
    return table.add_name(number, payload.substr(3));
  }
  if (type != FrameType::kDecisions || in.remaining() % kDecisionBytes != 0) {
    return corruption("a frame of no known kind");
  }
  while (in.remaining() > 0) {
    const DecisionTable::Entry entry = read_entry(in.take(kDecisionBytes).data());
    table.put(entry.fingerprint, entry.decision);
  }
  return {};
}

}  // namespace

void DecisionTable::grow() {
  std::vector<Slot> old(std::max<std::size_t>(slots_.size() * 2, 1024));
  old.swap(slots_);
  size_ = 0;
  for (const Slot& slot : old) {
    if (slot.fingerprint != kFree) put({slot.fingerprint}, {slot.bits});
  }
}

void DecisionTable::put(TraceFingerprint fingerprint, PackedDecision decision) {
  if (size_ * 3 >= slots_.size() * 2) grow();
  std::size_t at = fingerprint.value & (slots_.size() - 1);
  while (slots_[at].fingerprint != kFree && slots_[at].fingerprint != fingerprint.value) {
    at = (at + 1) & (slots_.size() - 1);
  }
  if (slots_[at].fingerprint == kFree) ++size_;
  slots_[at] = {fingerprint.value, decision.bits};
}

std::optional<PackedDecision> DecisionTable::find(TraceFingerprint fingerprint) const {
  if (slots_.empty()) return std::nullopt;
  std::size_t at = fingerprint.value & (slots_.size() - 1);
  while (slots_[at].fingerprint != kFree) {
    if (slots_[at].fingerprint == fingerprint.value) return PackedDecision{slots_[at].bits};
    at = (at + 1) & (slots_.size() - 1);
  }
  return std::nullopt;
}

std::uint32_t DecisionTable::number_of(std::string_view policy) {
  if (policy.empty()) return 0;
  policy = policy.substr(0, kNameBytesMax);
  const auto found = std::find(names_.begin(), names_.end(), policy);
  if (found == names_.end()) {
    if (names_.size() + 1 >= kPolicyNumberMax) return kPolicyNumberMax;
    names_.emplace_back(policy);
    return static_cast<std::uint32_t>(names_.size());
  }
  return static_cast<std::uint32_t>(found - names_.begin()) + 1;
}

std::string_view DecisionTable::policy(std::uint32_t number) const {
  return number == 0 || number > names_.size() ? std::string_view() : names_[number - 1];
}

Status DecisionTable::add_name(std::uint32_t number, std::string_view name) {
  if (number != names_.size() + 1 || number >= kPolicyNumberMax || name.size() > kNameBytesMax) {
    return corruption(
        fmt::format("policy {} of {} bytes after {}", number, name.size(), names_.size()));
  }
  names_.emplace_back(name);
  return {};
}

std::vector<DecisionTable::Entry> DecisionTable::sorted() const {
  std::vector<Entry> out;
  out.reserve(size_);
  for (const Slot& slot : slots_) {
    if (slot.fingerprint != kFree) out.push_back({{slot.fingerprint}, {slot.bits}});
  }
  std::sort(out.begin(), out.end(),
            [](const Entry& a, const Entry& b) { return a.fingerprint < b.fingerprint; });
  return out;
}

std::string encode_log_header(Timestamp begin) {
  std::string out(kLogMagic);
  put_be64(out, static_cast<std::uint64_t>(begin.ms));
  return out;
}

void append_name_frame(std::string& out, std::uint32_t number, std::string_view name) {
  std::string payload;
  put_u8(payload, static_cast<std::uint8_t>(FrameType::kName));
  put_be16(payload, static_cast<std::uint16_t>(number));
  payload += name;
  append_frame(out, payload);
}

void append_decision_frame(std::string& out, const std::vector<DecisionTable::Entry>& entries) {
  std::string payload;
  payload.reserve(1 + entries.size() * kDecisionBytes);
  put_u8(payload, static_cast<std::uint8_t>(FrameType::kDecisions));
  for (const DecisionTable::Entry& entry : entries) put_entry(payload, entry);
  append_frame(out, payload);
}

Result<std::unique_ptr<DecisionTable>> read_decision_log(std::string_view contents,
                                                         std::size_t& whole_bytes) {
  whole_bytes = 0;
  ByteReader in(as_bytes(contents));
  const Bytes magic = in.take(kLogMagic.size());
  const auto begin = static_cast<std::int64_t>(in.be64());
  if (!in.ok() || as_text(magic) != kLogMagic) return corruption("no header of a decision log");
  auto table = std::make_unique<DecisionTable>(Timestamp{begin});
  while (true) {
    whole_bytes = in.offset();
    if (in.remaining() < kFrameHeaderBytes) return table;
    const std::uint32_t size = in.be32();
    const std::uint32_t checksum = in.be32();
    const Bytes payload = in.take(size);
    if (!in.ok() || payload.empty() || crc32c(payload) != checksum) return table;
    if (!read_frame(as_text(payload), *table).ok()) return table;
  }
}

std::string encode_sealed_decisions(const DecisionTable& table) {
  const std::vector<DecisionTable::Entry> entries = table.sorted();
  std::string out;
  std::uint32_t page_count = 0;
  for (std::size_t i = 0; i < entries.size(); i += kPageDecisions, ++page_count) {
    const std::size_t count = std::min(kPageDecisions, entries.size() - i);
    std::string page;
    for (std::size_t k = 0; k < count; ++k) put_entry(page, entries[i + k]);
    page.resize(kPageDecisions * kDecisionBytes);
    put_be64(page, page_count);
    put_be32(page, static_cast<std::uint32_t>(count));
    put_be32(page, crc32c(as_bytes(page)));
    out += page;
  }
  std::string tail;
  for (const std::string& name : table.names()) put_string(tail, name);
  const auto names_bytes = static_cast<std::uint32_t>(tail.size());
  put_be64(tail, static_cast<std::uint64_t>(table.begin().ms));
  put_be32(tail, page_count);
  put_be64(tail, entries.size());
  put_be32(tail, names_bytes);
  put_be32(tail, crc32c(as_bytes(tail)));
  return out + tail + std::string(kSealedMagic);
}

Result<std::unique_ptr<SealedDecisions>> SealedDecisions::open(FileSystem& files,
                                                               const std::string& path) {
  const auto file = TRY(files.open_readable(path, Access::kRead));
  auto out = std::unique_ptr<SealedDecisions>(new SealedDecisions());
  out->path_ = path;
  out->file_bytes_ = file->size();
  if (out->file_bytes_ < kFooterBytes) return corruption(path + ": too short");
  std::string footer(kFooterBytes, '\0');
  TRY(file->read_at(out->file_bytes_ - kFooterBytes, std::as_writable_bytes(std::span(footer))));
  ByteReader in(as_bytes(footer));
  out->begin_ = Timestamp{static_cast<std::int64_t>(in.be64())};
  out->page_count_ = in.be32();
  out->decision_count_ = in.be64();
  const std::uint32_t names_bytes = in.be32();
  const std::uint32_t checksum = in.be32();
  if (as_text(in.take(8)) != kSealedMagic || names_bytes > kNamesBytesMax ||
      out->page_count_ * kDecisionPageBytes + names_bytes + kFooterBytes != out->file_bytes_) {
    return corruption(path + ": the footer is damaged");
  }
  std::string names(names_bytes, '\0');
  TRY(file->read_at(out->file_bytes_ - kFooterBytes - names_bytes,
                    std::as_writable_bytes(std::span(names))));
  const std::uint32_t found =
      crc32c(as_bytes(footer).first(kFooterBytes - 12), crc32c(as_bytes(names)));
  if (found != checksum) return corruption(path + ": the footer's checksum is wrong");
  ByteReader list(as_bytes(names));
  while (list.ok() && !list.empty()) out->names_.emplace_back(list.string());
  if (!list.ok()) return corruption(path + ": the names are damaged");
  return out;
}

std::string_view SealedDecisions::policy(std::uint32_t number) const {
  return number == 0 || number > names_.size() ? std::string_view() : names_[number - 1];
}

Status SealedDecisions::read_page(const ReadableFile& file, std::uint64_t page,
                                  std::vector<DecisionTable::Entry>& out) const {
  out.clear();
  std::string bytes(kDecisionPageBytes, '\0');
  TRY(file.read_at(page * kDecisionPageBytes, std::as_writable_bytes(std::span(bytes))));
  const Bytes view = as_bytes(bytes);
  ByteReader trailer(view.subspan(kPageDecisions * kDecisionBytes));
  const std::uint64_t number = trailer.be64();
  const std::uint32_t count = trailer.be32();
  if (number != page || count == 0 || count > kPageDecisions ||
      trailer.be32() != crc32c(view.first(kDecisionPageBytes - 4))) {
    return corruption(fmt::format("{}: page {} is damaged", path_, page));
  }
  for (std::size_t i = 0; i < count; ++i) out.push_back(read_entry(&view[i * kDecisionBytes]));
  return {};
}

Result<std::optional<PackedDecision>> SealedDecisions::find(FileSystem& files,
                                                            TraceFingerprint fingerprint) const {
  const auto file = TRY(files.open_readable(path_, Access::kRead));
  std::vector<DecisionTable::Entry> page;
  std::uint64_t low = 0;
  std::uint64_t high = page_count_;
  // Evenly spread values: the first guess is off by a page or two; then halves.
  auto guess = static_cast<std::uint64_t>(static_cast<double>(fingerprint.value) /
                                          static_cast<double>(kRandomnessEnd) *
                                          static_cast<double>(page_count_));
  while (low < high) {
    guess = std::clamp(guess, low, high - 1);
    TRY(read_page(*file, guess, page));
    if (fingerprint < page.front().fingerprint) {
      high = guess;
      guess = high - low > 8 ? high - 2 : low + (high - low) / 2;
    } else if (page.back().fingerprint < fingerprint) {
      low = guess + 1;
      guess = high - low > 8 ? low + 1 : low + (high - low) / 2;
    } else {
      for (const DecisionTable::Entry& entry : page) {
        if (entry.fingerprint == fingerprint) return std::optional(entry.decision);
      }
      break;
    }
  }
  return std::optional<PackedDecision>();
}

Result<std::unique_ptr<DecisionTable>> SealedDecisions::load(FileSystem& files) const {
  const auto file = TRY(files.open_readable(path_, Access::kRead));
  auto out = std::make_unique<DecisionTable>(begin_);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    TRY(out->add_name(static_cast<std::uint32_t>(i + 1), names_[i]));
  }
  std::vector<DecisionTable::Entry> page;
  for (std::uint64_t i = 0; i < page_count_; ++i) {
    TRY(read_page(*file, i, page));
    for (const DecisionTable::Entry& entry : page) out->put(entry.fingerprint, entry.decision);
  }
  return out;
}

}  // namespace tarsier::tracing
