#pragma once

#include <string>
#include <string_view>

#include "alerting/alert_journal.h"
#include "base/bytes.h"
#include "base/result.h"

namespace tarsier::alerting {

// The bytes of the journal: FORMAT.md.

inline constexpr std::string_view kJournalMagic = "TRSALRT2";
/// Without events; read, never written.
inline constexpr std::string_view kFormerJournalMagic = "TRSALRT1";
/// No record is longer: labels and annotations of one alert.
inline constexpr std::uint32_t kJournalRecordBytesMax = std::uint32_t{16} << 20;

std::string encode_put(std::string_view owner, const AlertRecord& record);
std::string encode_erase(std::string_view owner, const tsdb::Labels& labels);
std::string encode_drop(std::string_view owner);
std::string encode_sent(std::string_view owner, const tsdb::Labels& labels, Timestamp at);
std::string encode_evaluated(std::string_view group, Timestamp at);
std::string encode_forget(std::string_view group);
std::string encode_event(const AlertEvent& event);

/// `position`, length and checksum around a payload.
void append_framed(std::string& out, JournalPosition position, std::string_view payload);
/// Does to the image what the payload says. kCorruption when it says nothing sensible.
Status apply_payload(JournalImage& image, Bytes payload);

}  // namespace tarsier::alerting
