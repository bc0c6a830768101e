#include "ingest/remote/write_request.h"

#include <fmt/format.h>

#include "base/protobuf_reader.h"
#include "ingest/remote/wire_values.h"

namespace tarsier::ingest {
namespace {

// Tags: field number << 3 | wire type. All known fields of the hot messages fit one byte.
constexpr char kLabelTag = 0x0A;  // TimeSeries.labels

Status damaged(std::string_view message, const char* at, std::string_view what) {
  return corruption(
      fmt::format("protobuf: {} at byte {} of {}", what, at - message.data(), message.size()));
}

/// The end of the run of label fields at `p`, or null when a length leaves the message.
inline const char* skip_labels(const char* p, const char* end) {
  while (p != end && *p == kLabelTag) {
    ++p;
    std::uint64_t size = 0;
    if (!ProtobufReader::read_varint(p, end, size)) return nullptr;
    if (size > static_cast<std::uint64_t>(end - p)) return nullptr;
    p += size;
  }
  return p;
}

class Decoder final {
 public:
  Decoder(std::string_view message, const DecodeLimits& limits, WriteRequest& out)
      : message_(message), limits_(limits), out_(out) {}

  Status decode() {
    ProtobufReader fields(message_);
    while (fields.next()) {
      if (fields.field() != 1 && fields.field() != 3) continue;
      if (fields.type() != ProtobufReader::kBytes) {
        return damaged(message_, message_.data() + fields.offset(),
                       "WriteRequest with a wrong wire type");
      }
      if (fields.field() == 1) {
        TRY(decode_series(fields.bytes()));
      } else {
        TRY(decode_metadata(fields.bytes()));
      }
    }
    if (!fields.ok()) {
      return damaged(message_, message_.data() + fields.offset(), "damaged WriteRequest");
    }
    return {};
  }

 private:
  Status decode_series(std::string_view series) {
    const char* const begin = series.data();
    const char* const end = begin + series.size();
    const std::size_t first_sample = out_.samples.size();
    const std::size_t first_histogram = out_.histograms.size();
    const std::size_t first_exemplar = out_.exemplars.size();
    const auto series_index = static_cast<std::uint32_t>(out_.series.size());

    const char* const labels_end = skip_labels(begin, end);
    if (labels_end == nullptr) return damaged(message_, begin, "damaged label in the TimeSeries");
    bool contiguous = true;

    ProtobufReader fields({labels_end, static_cast<std::size_t>(end - labels_end)});
    while (fields.next()) {
      if (fields.field() < 1 || fields.field() > 4) continue;
      if (fields.type() != ProtobufReader::kBytes) {
        return damaged(message_, labels_end + fields.offset(), "TimeSeries with a wrong wire type");
      }
      switch (fields.field()) {
        case 1: contiguous = false; break;
        case 2: {
          if (out_.samples.size() + out_.histograms.size() >= limits_.samples_max) {
            return limit_exceeded(
                fmt::format("more than {} samples in one request", limits_.samples_max));
          }
          tsdb::Sample sample;
          if (!decode_sample(fields.bytes(), sample)) {
            return damaged(message_, fields.bytes().data(), "damaged Sample");
          }
          out_.samples.push_back(sample);
          break;
        }
        case 3: out_.exemplars.push_back({fields.bytes(), series_index}); break;
        case 4:
          if (out_.samples.size() + out_.histograms.size() >= limits_.samples_max) {
            return limit_exceeded(
                fmt::format("more than {} samples in one request", limits_.samples_max));
          }
          out_.histograms.push_back({fields.bytes(), series_index});
          break;
        default: break;
      }
    }
    if (!fields.ok()) return damaged(message_, labels_end + fields.offset(), "damaged TimeSeries");

    const std::size_t sample_count = out_.samples.size() - first_sample;
    const std::size_t histogram_count = out_.histograms.size() - first_histogram;
    // Prometheus sends exemplars apart from the samples of their series.
    if (sample_count + histogram_count == 0 && out_.exemplars.size() == first_exemplar) {
      ++out_.series_without_samples_count;
      return {};
    }
    out_.series.push_back({series, static_cast<std::uint32_t>(sample_count),
                           static_cast<std::uint32_t>(histogram_count)});
    out_.label_runs.emplace_back(begin,
                                 contiguous ? static_cast<std::size_t>(labels_end - begin) : 0);
    return {};
  }

  Status decode_metadata(std::string_view entry) {
    if (out_.metadata.size() >= limits_.metadata_max) {
      return limit_exceeded(
          fmt::format("more than {} metadata entries in one request", limits_.metadata_max));
    }
    WireMetadata metadata;
    ProtobufReader fields(entry);
    bool right_types = true;
    while (fields.next()) {
      const bool is_bytes = fields.type() == ProtobufReader::kBytes;
      switch (fields.field()) {
        case 1:
          right_types &= fields.type() == ProtobufReader::kVarint;
          metadata.type = metric_type_of_wire(fields.number());
          break;
        case 2:
          right_types &= is_bytes;
          metadata.family = fields.bytes();
          break;
        case 4:
          right_types &= is_bytes;
          metadata.help = fields.bytes();
          break;
        case 5:
          right_types &= is_bytes;
          metadata.unit = fields.bytes();
          break;
        default: break;
      }
    }
    if (!fields.ok() || !right_types)
      return damaged(message_, entry.data(), "damaged MetricMetadata");
    out_.metadata.push_back(metadata);
    return {};
  }

  const std::string_view message_;
  const DecodeLimits limits_;
  WriteRequest& out_;
};

}  // namespace

void WriteRequest::clear() {
  series.clear();
  label_runs.clear();
  samples.clear();
  starts.clear();
  histograms.clear();
  exemplars.clear();
  metadata.clear();
  series_metadata.clear();
  series_without_samples_count = 0;
  translated.clear();
}

Status decode_write_request(std::string_view message, const DecodeLimits& limits,
                            WriteRequest& out) {
  out.clear();
  return Decoder(message, limits, out).decode();
}

}  // namespace tarsier::ingest
