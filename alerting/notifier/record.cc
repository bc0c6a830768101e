#include "alerting/notifier/record.h"

#include <array>
#include <type_traits>

#include <fmt/format.h>

namespace tarsier::alerting {
namespace {

// One description per record serves both directions: `fields(io, record)` names the fields in
// order, a Writer appends them, a Reader fills them.

class Writer final {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void field(const std::string& v) { put_string(out_, v); }
  void field(const Timestamp& v) { put_varint(out_, v.ms); }
  void field(const bool& v) { put_u8(out_, v ? 1 : 0); }
  void field(const std::uint32_t& v) { put_uvarint(out_, v); }
  void field(const double& v) { put_f64(out_, v); }
  void field(const Fingerprint& v) { put_be64(out_, v.value); }
  void field(const AlertState& v) { put_u8(out_, static_cast<std::uint8_t>(v)); }
  void field(const ResolveReason& v) { put_u8(out_, static_cast<std::uint8_t>(v)); }
  void field(const std::vector<std::uint64_t>& v) {
    put_uvarint(out_, v.size());
    for (const std::uint64_t n : v) put_be64(out_, n);
  }
  void field(const Annotations& v) {
    put_uvarint(out_, v.size());
    for (const auto& [name, value] : v) {
      put_string(out_, name);
      put_string(out_, value);
    }
  }
  void field(const tsdb::Labels& v) {
    put_uvarint(out_, v.count());
    for (const tsdb::LabelView label : v) {
      put_string(out_, label.name);
      put_string(out_, label.value);
    }
  }
  void field(const std::vector<tsdb::Matcher>& v) {
    put_uvarint(out_, v.size());
    for (const tsdb::Matcher& matcher : v) {
      put_u8(out_, static_cast<std::uint8_t>(matcher.op()));
      put_string(out_, matcher.name());
      put_string(out_, matcher.value());
    }
  }

 private:
  std::string& out_;
};

class Reader final {
 public:
  explicit Reader(ByteReader& in) : in_(in) {}
  bool ok() const { return in_.ok() && !bad_; }

  void field(std::string& v) { v = std::string(in_.string()); }
  void field(Timestamp& v) { v.ms = in_.varint(); }
  void field(bool& v) { v = in_.u8() != 0; }
  void field(std::uint32_t& v) {
    const std::uint64_t n = in_.uvarint();
    bad_ |= n > 0xffffffff;
    v = static_cast<std::uint32_t>(n);
  }
  void field(double& v) { v = in_.f64(); }
  void field(Fingerprint& v) { v.value = in_.be64(); }
  void field(AlertState& v) {
    const std::uint8_t n = in_.u8();
    bad_ |= n > static_cast<std::uint8_t>(AlertState::kFiring);
    v = bad_ ? AlertState::kInactive : static_cast<AlertState>(n);
  }
  void field(ResolveReason& v) {
    const std::uint8_t n = in_.u8();
    bad_ |= n > static_cast<std::uint8_t>(ResolveReason::kDataStopped);
    v = bad_ ? ResolveReason::kNone : static_cast<ResolveReason>(n);
  }
  void field(std::vector<std::uint64_t>& v) {
    for (std::uint64_t left = count(8); left > 0 && ok(); --left) v.push_back(in_.be64());
  }
  void field(Annotations& v) {
    for (std::uint64_t left = count(2); left > 0 && ok(); --left) {
      std::string name(in_.string());
      v.emplace_back(std::move(name), std::string(in_.string()));
    }
  }
  void field(tsdb::Labels& v) {
    tsdb::LabelsBuilder builder;
    for (std::uint64_t left = count(2); left > 0 && ok(); --left) {
      const std::string_view name = in_.string();
      builder.set(name, in_.string());
    }
    v = builder.build();
  }
  void field(std::vector<tsdb::Matcher>& v) {
    for (std::uint64_t left = count(3); left > 0 && ok(); --left) {
      const std::uint8_t op = in_.u8();
      std::string name(in_.string());
      std::string value(in_.string());
      bad_ |= op > static_cast<std::uint8_t>(tsdb::MatchOp::kNotRegex);
      if (!ok()) return;
      Result<tsdb::Matcher> matcher =
          tsdb::Matcher::create(static_cast<tsdb::MatchOp>(op), std::move(name), std::move(value));
      bad_ |= !matcher.ok();
      if (matcher.ok()) v.push_back(std::move(*matcher));
    }
  }

 private:
  /// A count of things of at least `size` bytes each: more than fit are refused unread.
  std::uint64_t count(std::uint64_t size) {
    const std::uint64_t n = in_.uvarint();
    bad_ |= n > in_.remaining() / size;
    return bad_ ? 0 : n;
  }

  ByteReader& in_;
  bool bad_ = false;
};

template <typename Io, typename R>
void fields(Io& io, R& record) {
  using T = std::remove_const_t<R>;
  const auto all = [&](auto&... field) { (io.field(field), ...); };
  if constexpr (std::is_same_v<T, LoggedAlert>) {
    auto& a = record.alert;
    all(a.labels, a.annotations, a.state, a.value, a.active_at, a.starts_at, a.ends_at,
        a.updated_at, a.generator_url, a.resolve_reason);
  } else if constexpr (std::is_same_v<T, AlertGoneRecord>) {
    all(record.fingerprint);
  } else if constexpr (std::is_same_v<T, GroupRecord>) {
    all(record.receiver, record.key, record.next_flush, record.has_flushed);
  } else if constexpr (std::is_same_v<T, GroupGoneRecord>) {
    all(record.receiver, record.key);
  } else if constexpr (std::is_same_v<T, NotifiedRecord>) {
    all(record.integration, record.group_key, record.at, record.expires_at, record.firing,
        record.resolved);
  } else if constexpr (std::is_same_v<T, NotifiedGoneRecord>) {
    all(record.integration, record.group_key);
  } else if constexpr (std::is_same_v<T, MessageRecord>) {
    auto& m = record.message;
    all(m.id, m.integration, m.receiver, m.group_key, m.created_at, m.url, m.body, m.firing_count,
        m.resolved_count);
  } else if constexpr (std::is_same_v<T, AttemptRecord>) {
    all(record.id, record.attempt_count, record.first_at, record.next_at, record.status,
        record.error);
  } else if constexpr (std::is_same_v<T, DeliveredRecord>) {
    all(record.id, record.at, record.status);
  } else if constexpr (std::is_same_v<T, DeadRecord>) {
    all(record.id, record.at, record.reason);
  } else if constexpr (std::is_same_v<T, ReplayedRecord>) {
    all(record.id, record.at);
  } else if constexpr (std::is_same_v<T, HistoryRecord>) {
    all(record.id, record.integration, record.group_key, record.created_at, record.delivered_at,
        record.status, record.attempt_count, record.firing_count, record.resolved_count);
  } else if constexpr (std::is_same_v<T, SilenceRecord>) {
    auto& s = record.silence;
    all(s.id, s.matchers, s.starts_at, s.ends_at, s.updated_at, s.created_by, s.comment);
  } else {
    static_assert(std::is_same_v<T, DeadGoneRecord> || std::is_same_v<T, SilenceGoneRecord>);
    all(record.id);
  }
}

template <typename T>
Record decode_as(Reader& reader) {
  T record;
  fields(reader, record);
  return record;
}

using Decode = Record (*)(Reader&);
template <std::size_t... kIndex>
constexpr std::array<Decode, sizeof...(kIndex)> decoders(std::index_sequence<kIndex...>) {
  return {decode_as<std::variant_alternative_t<kIndex, Record>>...};
}
constexpr auto kDecoders = decoders(std::make_index_sequence<std::variant_size_v<Record>>());

}  // namespace

void encode_record(std::string& out, const Record& record) {
  put_u8(out, static_cast<std::uint8_t>(record.index() + 1));
  Writer writer(out);
  std::visit([&](const auto& r) { fields(writer, r); }, record);
}

Result<std::vector<Record>> decode_records(Bytes bytes) {
  ByteReader in(bytes);
  Reader reader(in);
  std::vector<Record> records;
  while (!in.empty()) {
    const std::size_t offset = in.offset();
    const std::uint8_t type = in.u8();
    if (type == 0 || type > kDecoders.size()) {
      return corruption(
          fmt::format("record at {}: type {}, want 1 to {}", offset, type, kDecoders.size()));
    }
    records.push_back(kDecoders[type - 1u](reader));
    if (!reader.ok()) {
      return corruption(fmt::format("record at {}: type {} ends at {}", offset, type, in.offset()));
    }
  }
  return records;
}

}  // namespace tarsier::alerting
