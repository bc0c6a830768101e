#include "alerting/alertmanager_queue_file.h"

#include "alerting/alert_bytes.h"
#include "base/crc32c.h"

namespace tarsier::alerting {
namespace {

constexpr std::string_view kMagic = "TRSALQ01";

}  // namespace

std::string encode_queue(const std::vector<Alert>& alerts) {
  std::string body;
  put_uvarint(body, alerts.size());
  for (const Alert& alert : alerts) {
    put_labels(body, alert.labels);
    put_annotations(body, alert.annotations);
    put_u8(body, static_cast<std::uint8_t>(alert.state));
    put_varint(body, alert.starts_at.ms);
    put_varint(body, alert.ends_at.ms);
    put_string(body, alert.generator_url);
  }
  std::string out(kMagic);
  put_be32(out, crc32c(as_bytes(body)));
  out += body;
  return out;
}

Result<std::vector<Alert>> decode_queue(Bytes file) {
  if (!as_text(file).starts_with(kMagic)) return corruption("not a queue of alerts");
  ByteReader header(file.subspan(kMagic.size()));
  const std::uint32_t checksum = header.be32();
  if (!header.ok()) return corruption("a queue of alerts without a checksum");
  const Bytes body = file.subspan(kMagic.size() + header.offset());
  if (crc32c(body) != checksum) return corruption("a queue of alerts with a wrong checksum");
  ByteReader in(body);
  std::vector<Alert> out;
  const std::uint64_t count = in.uvarint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    Alert alert;
    alert.labels = TRY(read_labels(in));
    alert.annotations = read_annotations(in);
    const std::uint8_t state = in.u8();
    if (state > 2) return corruption("the state of an alert");
    alert.state = static_cast<AlertState>(state);
    alert.starts_at.ms = in.varint();
    alert.ends_at.ms = in.varint();
    alert.generator_url = in.string();
    out.push_back(std::move(alert));
  }
  if (!in.ok() || !in.empty()) return corruption("a queue of alerts with a wrong length");
  return out;
}

}  // namespace tarsier::alerting
