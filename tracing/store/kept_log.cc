#include "tracing/store/kept_log.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/compression.h"
#include "base/crc32c.h"
#include "tracing/span.h"

namespace tarsier::tracing {
namespace {

constexpr std::string_view kMagic = "TSRKLG01";
constexpr int kZstdLevel = 1;

std::string segment_path(const std::string& directory, std::uint64_t segment) {
  return join_path(directory, fmt::format("{:08}", segment));
}

std::optional<std::uint64_t> segment_of(const std::string& name) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  if (name.size() < 8 || error != std::errc{} || end != name.data() + name.size()) {
    return std::nullopt;
  }
  return out;
}

Result<std::vector<std::uint64_t>> list_segments(FileSystem& files, const std::string& directory) {
  std::vector<std::uint64_t> out;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (const auto segment = segment_of(entry.name)) out.push_back(*segment);
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// Envelopes that spans share are written once a record.
using Envelope = std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>;

}  // namespace

std::string encode_kept(std::span<const KeptTrace> traces, Timestamp filed) {
  std::map<Envelope, std::uint64_t> codes;
  std::string envelopes;
  std::string body;
  put_uvarint(body, traces.size());
  for (const KeptTrace& trace : traces) {
    append_bytes(body, trace.trace_id);
    put_uvarint(body, trace.spans.size());
    for (const KeptSpan& span : trace.spans) {
      const Envelope envelope(span.resource, span.resource_schema_url, span.scope,
                              span.scope_schema_url);
      const auto [at, is_new] = codes.try_emplace(envelope, codes.size());
      if (is_new) {
        put_string(envelopes, span.resource);
        put_string(envelopes, span.resource_schema_url);
        put_string(envelopes, span.scope);
        put_string(envelopes, span.scope_schema_url);
      }
      put_uvarint(body, at->second);
      put_string(body, span.span);
    }
  }
  std::string out;
  put_be64(out, static_cast<std::uint64_t>(filed.ms));
  put_uvarint(out, codes.size());
  return out + envelopes + body;
}

Result<std::vector<TraceFragment>> decode_kept(std::shared_ptr<const std::string> bytes) {
  ByteReader in(as_bytes(*bytes));
  const Timestamp filed{static_cast<std::int64_t>(in.be64())};
  const std::uint64_t envelope_count = in.uvarint();
  if (envelope_count > in.remaining()) return corruption("a record with too many envelopes");
  std::vector<KeptSpan> envelopes(envelope_count);
  for (KeptSpan& envelope : envelopes) {
    envelope.resource = in.string();
    envelope.resource_schema_url = in.string();
    envelope.scope = in.string();
    envelope.scope_schema_url = in.string();
  }
  std::vector<TraceFragment> out;
  for (std::uint64_t n = in.uvarint(); n > 0 && in.ok(); --n) {
    TraceFragment& fragment = out.emplace_back();
    fragment.id.high = in.be64();
    fragment.id.low = in.be64();
    fragment.filed = filed;
    fragment.bytes = bytes;
    for (std::uint64_t m = in.uvarint(); m > 0 && in.ok(); --m) {
      const std::uint64_t code = in.uvarint();
      if (code >= envelopes.size()) return corruption("a span without its envelope");
      KeptSpan span = envelopes[code];
      span.span = in.string();
      SpanRecord record;
      if (in.ok() && (!read_span(span.span, record) || record.trace_id != fragment.id)) {
        return corruption("a damaged span");
      }
      fragment.spans.push_back(span);
    }
  }
  if (!in.ok() || !in.empty()) return corruption("a damaged record of kept traces");
  return out;
}

Result<std::unique_ptr<KeptLogWriter>> KeptLogWriter::open(FileSystem& files, std::string directory,
                                                           std::uint64_t segment) {
  std::unique_ptr<KeptLogWriter> writer(new KeptLogWriter(files, std::move(directory), segment));
  TRY(writer->begin());
  return writer;
}

Status KeptLogWriter::begin() {
  is_broken_ = true;
  file_ = TRY(files_.open_writable(segment_path(directory_, segment_), OpenMode::kTruncate));
  segment_bytes_ = 0;
  has_unsynced_ = true;
  TRY(file_->append(as_bytes(kMagic)));
  segment_bytes_ = kMagic.size();
  TRY(files_.sync_directory(directory_));
  is_broken_ = false;
  return {};
}

Status KeptLogWriter::leave_broken() {
  TRY(sync());
  if (file_ != nullptr) {
    // Whole records only, so that a start finds nothing to complain about.
    file_.reset();
    TRY(files_.truncate(segment_path(directory_, segment_), segment_bytes_));
  }
  ++segment_;
  return begin();
}

Status KeptLogWriter::append(std::string_view contents) {
  if (!sync_failure_.ok()) return sync_failure_;
  if (contents.size() > kKeptRecordBytesMax) return limit_exceeded("a record of kept traces");
  if (is_broken_) TRY(leave_broken());
  std::string packed;
  zstd_compress(as_bytes(contents), kZstdLevel, packed);
  std::string record;
  put_be32(record, static_cast<std::uint32_t>(packed.size()));
  put_be32(record, static_cast<std::uint32_t>(contents.size()));
  record += packed;
  std::string checked;
  put_be32(checked, crc32c(as_bytes(record)));
  checked += record;
  has_unsynced_ = true;
  is_broken_ = true;
  TRY(file_->append(as_bytes(checked)));
  is_broken_ = false;
  segment_bytes_ += checked.size();
  return {};
}

Status KeptLogWriter::sync() {
  if (!sync_failure_.ok()) return sync_failure_;
  if (!has_unsynced_ || file_ == nullptr) return {};
  Status synced = file_->sync();
  if (!synced.ok()) {
    sync_failure_ = synced;
    return synced;
  }
  has_unsynced_ = false;
  return {};
}

Status KeptLogWriter::cut() {
  TRY(sync());
  ++segment_;
  return begin();
}

Result<KeptLogReplay> replay_kept_log(
    FileSystem& files, const std::string& directory, std::uint64_t after, Logger& log,
    const std::function<void(std::vector<TraceFragment>)>& visit) {
  KeptLogReplay out{.segment_next = after + 1};
  const std::vector<std::uint64_t> segments = TRY(list_segments(files, directory));
  for (const std::uint64_t segment : segments) {
    out.segment_next = std::max(out.segment_next, segment + 1);
    if (segment <= after) continue;
    const std::string path = segment_path(directory, segment);
    const std::string all = TRY(read_file(files, path, std::uint64_t{1} << 34));
    const bool is_last = segment == segments.back();
    std::string_view damage;
    ByteReader in(as_bytes(all));
    if (as_text(in.take(kMagic.size())) != kMagic) damage = "not a log of kept traces";
    std::size_t good = in.offset();
    bool is_torn = all.size() < kMagic.size();
    while (damage.empty() && !in.empty()) {
      const std::uint32_t crc = in.be32();
      const std::size_t begin = in.offset();
      const std::uint32_t size = in.be32();
      const std::uint32_t plain_size = in.be32();
      const Bytes packed = in.take(size);
      if (!in.ok()) {
        is_torn = true;
        damage = "a record that ends behind the file";
      } else if (crc32c(as_bytes(all).subspan(begin, 8 + packed.size())) != crc) {
        damage = "a record with a wrong checksum";
      } else {
        auto plain = std::make_shared<std::string>();
        Result<std::vector<TraceFragment>> fragments = corruption("a record that does not inflate");
        if (plain_size <= kKeptRecordBytesMax && zstd_decompress(packed, plain_size, *plain).ok()) {
          fragments = decode_kept(std::move(plain));
        }
        if (!fragments.ok()) {
          damage = "a record that cannot be read";
        } else {
          ++out.records;
          good = in.offset();
          visit(std::move(*fragments));
        }
      }
    }
    const bool is_empty = all.size() < kMagic.size();  // Begun, and nothing more.
    if (damage.empty() || is_empty || (is_torn && is_last)) continue;
    // What a power cut leaves of the last segment may also be zeros or garbage.
    out.bytes_lost += all.size() - std::min(good, all.size());
    log.warn("A segment of kept traces is damaged; the rest of it is lost",
             {{"file", path},
              {"offset", std::to_string(good)},
              {"bytes", std::to_string(all.size() - std::min(good, all.size()))},
              {"err", damage}});
  }
  return out;
}

Status remove_kept_segments(FileSystem& files, const std::string& directory, std::uint64_t last) {
  for (const std::uint64_t segment : TRY(list_segments(files, directory))) {
    if (segment <= last) TRY(files.remove_file(segment_path(directory, segment)));
  }
  return {};
}

}  // namespace tarsier::tracing
