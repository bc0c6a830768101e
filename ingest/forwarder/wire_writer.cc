#include "ingest/forwarder/wire_writer.h"

#include <algorithm>
#include <unordered_map>

#include "base/bytes.h"
#include "base/protobuf_writer.h"
#include "tsdb/wire_messages.h"

namespace tarsier::ingest {
namespace {

/// The entries, those of one series next to each other, in the order in which series first came. An
/// exemplar so stands with its sample: receivers ask what it belongs to.
std::vector<const ForwardEntry*> by_series(std::span<const ForwardEntry> entries) {
  std::unordered_map<const ForwardSeries*, std::uint32_t> groups;
  std::vector<std::pair<std::uint32_t, const ForwardEntry*>> numbered;
  numbered.reserve(entries.size());
  for (const ForwardEntry& entry : entries) {
    const auto next = static_cast<std::uint32_t>(groups.size());
    numbered.emplace_back(groups.try_emplace(entry.series, next).first->second, &entry);
  }
  std::stable_sort(numbered.begin(), numbered.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const ForwardEntry*> out;
  out.reserve(numbered.size());
  for (const auto& [group, entry] : numbered) out.push_back(entry);
  return out;
}

/// The strings of one request of 2.0, each once; the first is empty.
class Symbols final {
 public:
  std::uint32_t number(std::string_view text) {
    if (text.empty()) return 0;
    const auto [found, is_new] =
        numbers_.try_emplace(text, static_cast<std::uint32_t>(texts_.size()));
    if (is_new) texts_.push_back(text);
    return found->second;
  }
  std::span<const std::string_view> texts() const { return texts_; }

 private:
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
  std::vector<std::string_view> texts_{std::string_view()};
};

std::string label_numbers(const tsdb::Labels& labels, Symbols& symbols) {
  std::string out;
  for (const tsdb::LabelView& label : labels) {
    put_uvarint(out, symbols.number(label.name));
    put_uvarint(out, symbols.number(label.value));
  }
  return out;
}

}  // namespace

std::string encode_wire_labels(const tsdb::Labels& labels) {
  std::string out;
  tsdb::append_wire_labels(out, 1, labels);
  return out;
}

std::string encode_write_request_1(std::span<const ForwardEntry> entries) {
  const std::vector<const ForwardEntry*> ordered = by_series(entries);
  std::string request;
  std::string series;
  std::string part;
  for (std::size_t i = 0; i < ordered.size();) {
    const ForwardSeries* const one = ordered[i]->series;
    series = one->wire_labels;
    ProtobufWriter out(series);
    for (; i < ordered.size() && ordered[i]->series == one; ++i) {
      const ForwardEntry& entry = *ordered[i];
      if (entry.histogram) {
        part.clear();
        tsdb::append_wire_histogram(part, entry.t, *entry.histogram);
        out.bytes(4, part);
      } else if (entry.exemplar) {
        part = encode_wire_labels(entry.exemplar->labels);
        ProtobufWriter exemplar(part);
        exemplar.real(2, entry.exemplar->value);
        exemplar.integer(3, entry.exemplar->t.ms);
        out.bytes(3, part);
      } else {
        part.clear();
        tsdb::append_wire_sample(part, entry.t, entry.v);
        out.bytes(2, part);
      }
    }
    ProtobufWriter(request).bytes(1, series);
  }
  return request;
}

std::string encode_write_request_2(std::span<const ForwardEntry> entries) {
  const std::vector<const ForwardEntry*> ordered = by_series(entries);
  Symbols symbols;
  std::string all_series;
  std::string series;
  std::string part;
  for (std::size_t i = 0; i < ordered.size();) {
    const ForwardSeries* const one = ordered[i]->series;
    series.clear();
    ProtobufWriter out(series);
    out.bytes(1, label_numbers(one->labels, symbols));
    bool has_samples = false;
    for (; i < ordered.size() && ordered[i]->series == one; ++i) {
      const ForwardEntry& entry = *ordered[i];
      has_samples |= entry.exemplar == nullptr;
      if (entry.histogram) {
        part.clear();  // Spelled alike in both versions.
        tsdb::append_wire_histogram(part, entry.t, *entry.histogram);
        out.bytes(3, part);
      } else if (entry.exemplar) {
        part.clear();
        ProtobufWriter exemplar(part);
        exemplar.bytes(1, label_numbers(entry.exemplar->labels, symbols));
        exemplar.real(2, entry.exemplar->value);
        exemplar.integer(3, entry.exemplar->t.ms);
        out.bytes(4, part);
      } else {
        part.clear();
        tsdb::append_wire_sample(part, entry.t, entry.v);
        out.bytes(2, part);
      }
    }
    // An error to receivers, and not worth the other series.
    if (!has_samples) continue;
    part.clear();
    ProtobufWriter described(part);
    described.varint(1, static_cast<std::uint64_t>(one->metadata.type));
    described.varint(3, symbols.number(one->metadata.help));
    described.varint(4, symbols.number(one->metadata.unit));
    out.bytes(5, part);
    ProtobufWriter(all_series).bytes(5, series);
  }
  std::string request;
  ProtobufWriter out(request);
  for (const std::string_view text : symbols.texts()) out.bytes(4, text);
  return request + all_series;
}

std::string encode_metadata_request(
    std::span<const std::pair<std::string, tsdb::Metadata>> metadata) {
  std::string request;
  std::string message;
  for (const auto& [name, one] : metadata) {
    message.clear();
    ProtobufWriter out(message);
    out.varint(1, static_cast<std::uint64_t>(one.type));
    out.bytes(2, name);
    out.bytes(4, one.help);
    out.bytes(5, one.unit);
    ProtobufWriter(request).bytes(3, message);
  }
  return request;
}

}  // namespace tarsier::ingest
