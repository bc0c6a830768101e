#include <utility>

#include <fmt/format.h>

#include "base/protobuf_reader.h"
#include "ingest/remote/wire_values.h"
#include "ingest/remote/write_request.h"

// Series come before or after the symbols they refer to, so the message is walked twice: once for
// the table, once for the series. What is translated lies in one string that grows, so views into
// it are kept as offsets until the end.

namespace tarsier::ingest {
namespace {

constexpr std::size_t kSymbolsMax = 4'000'000;

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

struct Range {
  std::size_t begin = 0;
  std::size_t size = 0;
};

class Decoder final {
 public:
  Decoder(std::string_view message, const DecodeLimits& limits, std::size_t translated_max,
          WriteRequest& out)
      : message_(message), limits_(limits), translated_max_(translated_max), out_(out) {}

  Status decode() {
    TRY(read_symbols());
    ProtobufReader fields(message_);
    while (fields.next()) {
      if (fields.field() != 5) continue;
      if (fields.type() != ProtobufReader::kBytes) {
        return damaged(fields.offset(), "Request with a wrong wire type");
      }
      TRY(read_series(fields.bytes()));
    }
    const std::string_view translated = out_.translated;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const std::string_view run = translated.substr(runs_[i].begin, runs_[i].size);
      out_.series[i].message = run;
      out_.label_runs.push_back(run);
    }
    for (std::size_t i = 0; i < exemplars_.size(); ++i) {
      out_.exemplars[i].message = translated.substr(exemplars_[i].begin, exemplars_[i].size);
    }
    return {};
  }

 private:
  static Status damaged(std::size_t at, std::string_view what) {
    return corruption(fmt::format("protobuf: {} at byte {}", what, at));
  }

  Status read_symbols() {
    ProtobufReader fields(message_);
    while (fields.next()) {
      if (fields.field() != 4) continue;
      if (fields.type() != ProtobufReader::kBytes) {
        return damaged(fields.offset(), "Request with a wrong wire type");
      }
      if (symbols_.size() >= kSymbolsMax) {
        return limit_exceeded(fmt::format("more than {} symbols in one request", kSymbolsMax));
      }
      symbols_.push_back(fields.bytes());
    }
    if (!fields.ok()) return damaged(fields.offset(), "damaged Request");
    if (!symbols_.empty() && !symbols_[0].empty()) {
      return invalid("symbols must start with empty string");
    }
    return {};
  }

  Status read_refs(const ProtobufReader& field, std::vector<std::uint64_t>& refs) const {
    if (field.type() == ProtobufReader::kVarint) {
      refs.push_back(field.number());
      return {};
    }
    if (field.type() != ProtobufReader::kBytes) return damaged(field.offset(), "labels_refs");
    const char* p = field.bytes().data();
    const char* const end = p + field.bytes().size();
    while (p != end) {
      std::uint64_t ref = 0;
      if (!ProtobufReader::read_varint(p, end, ref)) return damaged(field.offset(), "labels_refs");
      refs.push_back(ref);
    }
    return {};
  }

  /// Writes Label fields as 1.0 has them.
  Status write_labels(const std::vector<std::uint64_t>& refs) {
    if (refs.size() % 2 != 0) {
      return invalid(fmt::format("invalid labelRefs length {}", refs.size()));
    }
    std::string& out = out_.translated;
    for (std::size_t i = 0; i < refs.size(); i += 2) {
      for (const std::uint64_t ref : {refs[i], refs[i + 1]}) {
        if (ref < symbols_.size()) continue;
        return invalid(
            fmt::format("labelRefs {} (name) = {} (value) outside of symbols table (size {})",
                        refs[i], refs[i + 1], symbols_.size()));
      }
      const std::string_view name = symbols_[refs[i]];
      const std::string_view value = symbols_[refs[i + 1]];
      const std::size_t size =
          1 + varint_size(name.size()) + name.size() + 1 + varint_size(value.size()) + value.size();
      if (out.size() + size > translated_max_) {
        return limit_exceeded(
            fmt::format("the labels of the request are larger than {} bytes", translated_max_));
      }
      out += '\x0A';
      put_varint(out, size);
      out += '\x0A';
      put_varint(out, name.size());
      out += name;
      out += '\x12';
      put_varint(out, value.size());
      out += value;
    }
    return {};
  }

  Status check_count() const {
    if (out_.samples.size() + out_.histograms.size() < limits_.samples_max) return {};
    return limit_exceeded(fmt::format("more than {} samples in one request", limits_.samples_max));
  }

  Status read_exemplar(std::string_view message, std::uint32_t series) {
    refs_.clear();
    std::uint64_t value_bits = 0;
    std::uint64_t t = 0;
    ProtobufReader fields(message);
    while (fields.next()) {
      if (fields.field() == 1) TRY(read_refs(fields, refs_));
      if (fields.field() == 2 && fields.type() == ProtobufReader::kFixed64) {
        value_bits = fields.number();
      }
      if (fields.field() == 3 && fields.type() == ProtobufReader::kVarint) t = fields.number();
    }
    if (!fields.ok()) return damaged(fields.offset(), "damaged Exemplar");
    std::string& out = out_.translated;
    const std::size_t begin = out.size();
    TRY(write_labels(refs_));
    out += '\x11';
    for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(value_bits >> shift);
    out += '\x18';
    put_varint(out, t);
    exemplars_.push_back({begin, out.size() - begin});
    out_.exemplars.push_back({{}, series});
    return {};
  }

  Status read_metadata(std::string_view message, WireMetadata& out) const {
    ProtobufReader fields(message);
    while (fields.next()) {
      if (fields.type() != ProtobufReader::kVarint) continue;
      if (fields.field() == 1) out.type = metric_type_of_wire(fields.number());
      if (fields.field() != 3 && fields.field() != 4) continue;
      if (fields.number() >= symbols_.size()) {
        return invalid(
            fmt::format("metadata refers to symbol {} of {}", fields.number(), symbols_.size()));
      }
      (fields.field() == 3 ? out.help : out.unit) = symbols_[fields.number()];
    }
    if (!fields.ok()) return damaged(fields.offset(), "damaged Metadata");
    return {};
  }

  Status read_series(std::string_view series) {
    const auto index = static_cast<std::uint32_t>(out_.series.size());
    const std::size_t first_sample = out_.samples.size();
    const std::size_t first_histogram = out_.histograms.size();
    const std::size_t first_exemplar = out_.exemplars.size();
    WireMetadata metadata;
    label_refs_.clear();
    ProtobufReader fields(series);
    while (fields.next()) {
      const bool is_bytes = fields.type() == ProtobufReader::kBytes;
      if (fields.field() == 1) {
        TRY(read_refs(fields, label_refs_));
        continue;
      }
      if (fields.field() < 2 || fields.field() > 5) continue;
      if (!is_bytes) return damaged(fields.offset(), "TimeSeries with a wrong wire type");
      switch (fields.field()) {
        case 2: {
          TRY(check_count());
          tsdb::Sample sample;
          if (!decode_sample(fields.bytes(), sample)) {
            return damaged(fields.offset(), "damaged Sample");
          }
          if (const std::int64_t start = decode_sample_start(fields.bytes()); start != 0) {
            out_.starts.push_back(
                {static_cast<std::uint32_t>(out_.samples.size()), Timestamp{start}});
          }
          out_.samples.push_back(sample);
          break;
        }
        case 3:
          TRY(check_count());
          out_.histograms.push_back({fields.bytes(), index});
          break;
        case 4: TRY(read_exemplar(fields.bytes(), index)); break;
        default: TRY(read_metadata(fields.bytes(), metadata)); break;
      }
    }
    if (!fields.ok()) return damaged(fields.offset(), "damaged TimeSeries");
    const std::size_t samples = out_.samples.size() - first_sample;
    const std::size_t histograms = out_.histograms.size() - first_histogram;
    if (samples + histograms == 0 && out_.exemplars.size() == first_exemplar) {
      ++out_.series_without_samples_count;
      return {};
    }
    const std::size_t begin = out_.translated.size();
    TRY(write_labels(label_refs_));
    runs_.push_back({begin, out_.translated.size() - begin});
    out_.series.push_back(
        {{}, static_cast<std::uint32_t>(samples), static_cast<std::uint32_t>(histograms)});
    out_.series_metadata.push_back(metadata);
    return {};
  }

  const std::string_view message_;
  const DecodeLimits limits_;
  const std::size_t translated_max_;
  WriteRequest& out_;
  std::vector<std::string_view> symbols_;
  std::vector<Range> runs_;
  std::vector<Range> exemplars_;
  std::vector<std::uint64_t> label_refs_;
  std::vector<std::uint64_t> refs_;
};

}  // namespace

Status decode_write_request_2(std::string_view message, const DecodeLimits& limits,
                              std::size_t translated_bytes_max, WriteRequest& out) {
  out.clear();
  return Decoder(message, limits, translated_bytes_max, out).decode();
}

}  // namespace tarsier::ingest
