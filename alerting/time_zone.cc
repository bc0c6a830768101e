#include "alerting/time_zone.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/calendar.h"
#include "base/quote.h"

namespace tarsier::alerting {
namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;

/// When a year's change to or from summer time happens: `M3.2.0/2`, `J60`, `59`.
struct Change {
  enum class Kind : unsigned char { kMonth, kJulian, kDay } kind = Kind::kMonth;
  int month = 1;
  int week = 1;
  int day = 0;
  int second = 7200;
};

/// What goes on for ever after the last transition of the table: `CET-1CEST,M3.5.0,M10.5.0/3`.
struct Footer {
  TimeZone::Offset standard;
  std::optional<TimeZone::Offset> summer;
  Change begin;
  Change end;
};

class FooterParser final {
 public:
  explicit FooterParser(std::string_view text) : text_(text) {}

  std::optional<Footer> parse() {
    Footer footer;
    if (!name(footer.standard.abbreviation)) return std::nullopt;
    int offset = 0;
    if (!clock(offset)) return std::nullopt;
    footer.standard.seconds = -offset;  // POSIX counts west of Greenwich.
    if (text_.empty()) return footer;
    TimeZone::Offset summer;
    if (!name(summer.abbreviation)) return std::nullopt;
    summer.seconds = footer.standard.seconds + 3600;
    if (!text_.empty() && text_[0] != ',') {
      if (!clock(offset)) return std::nullopt;
      summer.seconds = -offset;
    }
    footer.summer = summer;
    if (!eat(',') || !change(footer.begin) || !eat(',') || !change(footer.end)) return std::nullopt;
    return text_.empty() ? std::optional(footer) : std::nullopt;
  }

 private:
  bool eat(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool name(std::string& out) {
    std::size_t size = 0;
    if (text_.starts_with('<')) {
      size = text_.find('>');
      if (size == std::string_view::npos) return false;
      out = std::string(text_.substr(1, size - 1));
      text_.remove_prefix(size + 1);
      return true;
    }
    while (size < text_.size() && (std::isalpha(static_cast<unsigned char>(text_[size])) != 0)) {
      ++size;
    }
    out = std::string(text_.substr(0, size));
    text_.remove_prefix(size);
    return size >= 3;
  }
  bool number(int& out) {
    const auto [stop, error] = std::from_chars(text_.data(), text_.data() + text_.size(), out);
    if (error != std::errc() || out < 0 || out > 1000) return false;
    text_.remove_prefix(static_cast<std::size_t>(stop - text_.data()));
    return true;
  }
  /// `[+-]hh[:mm[:ss]]`
  bool clock(int& out) {
    const int sign = text_.starts_with('-') ? -1 : 1;
    if (text_.starts_with('-') || text_.starts_with('+')) text_.remove_prefix(1);
    int hours = 0;
    int minutes_part = 0;
    int seconds_part = 0;
    if (!number(hours)) return false;
    if (eat(':') && !number(minutes_part)) return false;
    if (eat(':') && !number(seconds_part)) return false;
    out = sign * (hours * 3600 + minutes_part * 60 + seconds_part);
    return true;
  }
  bool change(Change& out) {
    if (eat('M')) {
      if (!number(out.month) || !eat('.') || !number(out.week) || !eat('.') || !number(out.day)) {
        return false;
      }
      if (out.month < 1 || out.month > 12 || out.week < 1 || out.week > 5 || out.day > 6) {
        return false;
      }
    } else {
      out.kind = eat('J') ? Change::Kind::kJulian : Change::Kind::kDay;
      if (!number(out.day) || out.day > 366) return false;
    }
    return !eat('/') || clock(out.second);
  }

  std::string_view text_;
};

/// Local seconds since the epoch at which a change of `year` happens.
std::int64_t moment_of(const Change& change, std::int64_t year) {
  std::int64_t day = days_from({year, 1, 1});
  const bool leap = days_in_month(year, 2) == 29;
  switch (change.kind) {
    case Change::Kind::kDay: day += change.day; break;
    case Change::Kind::kJulian: day += change.day - 1 + (leap && change.day > 59 ? 1 : 0); break;
    case Change::Kind::kMonth: {
      day = days_from({year, change.month, 1});
      const auto weekday = static_cast<int>(((day + 4) % 7 + 7) % 7);
      int in_month = (change.day - weekday + 7) % 7 + 7 * (change.week - 1);
      while (in_month >= days_in_month(year, change.month)) in_month -= 7;
      day += in_month;
      break;
    }
  }
  return day * 86'400 + change.second;
}

TimeZone::Offset offset_by(const Footer& footer, std::int64_t unix_s) {
  if (!footer.summer) return footer.standard;
  const std::int64_t days = (unix_s + footer.standard.seconds) / 86'400;
  const std::int64_t year = date_from(days).year;
  const std::int64_t begin = moment_of(footer.begin, year) - footer.standard.seconds;
  const std::int64_t end = moment_of(footer.end, year) - footer.summer->seconds;
  // South of the equator summer spans the new year.
  const bool is_summer =
      begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
  return is_summer ? *footer.summer : footer.standard;
}

}  // namespace

struct TimeZone::Rules {
  std::vector<std::int64_t> transitions;
  std::vector<std::size_t> types;  // Of each transition: an index into `offsets`.
  std::vector<Offset> offsets;
  std::optional<Footer> footer;
};

Result<TimeZone> TimeZone::decode(Bytes bytes) {
  const Status bad = corruption("not a TZif file");
  struct Counts {
    std::uint32_t utc = 0, standard = 0, leap = 0, time = 0, type = 0, characters = 0;
    std::uint64_t bytes(std::uint64_t time_bytes) const {
      return std::uint64_t{time} * time_bytes + time + std::uint64_t{type} * 6 + characters +
             std::uint64_t{leap} * (time_bytes + 4) + standard + utc;
    }
  };
  ByteReader reader(bytes);
  const auto header = [&](Counts& counts, char& version) {
    if (as_text(reader.take(4)) != "TZif") return false;
    version = static_cast<char>(reader.u8());
    reader.take(15);
    for (std::uint32_t* count : {&counts.utc, &counts.standard, &counts.leap, &counts.time,
                                 &counts.type, &counts.characters}) {
      *count = reader.be32();
    }
    return reader.ok();
  };
  Counts counts;
  char version = 0;
  if (!header(counts, version)) return bad;
  const bool is_wide = version >= '2';
  if (is_wide) {  // The same again with 64-bit times.
    reader.take(counts.bytes(4));
    if (!header(counts, version)) return bad;
  }
  if (counts.bytes(is_wide ? 8 : 4) > reader.remaining() || counts.type == 0) return bad;
  auto rules = std::make_shared<Rules>();
  for (std::uint32_t i = 0; i < counts.time; ++i) {
    rules->transitions.push_back(is_wide ? static_cast<std::int64_t>(reader.be64())
                                         : static_cast<std::int32_t>(reader.be32()));
  }
  for (std::uint32_t i = 0; i < counts.time; ++i) rules->types.push_back(reader.u8());
  std::vector<std::size_t> names;
  for (std::uint32_t i = 0; i < counts.type; ++i) {
    Offset offset;
    offset.seconds = static_cast<std::int32_t>(reader.be32());
    reader.u8();
    names.push_back(reader.u8());
    rules->offsets.push_back(offset);
  }
  const std::string_view characters = as_text(reader.take(counts.characters));
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] >= characters.size()) return bad;
    const std::string_view from = characters.substr(names[i]);
    rules->offsets[i].abbreviation = std::string(from.substr(0, from.find('\0')));
  }
  const bool types_exist =
      std::all_of(rules->types.begin(), rules->types.end(),
                  [&](std::size_t type) { return type < rules->offsets.size(); });
  if (!reader.ok() || !types_exist ||
      !std::is_sorted(rules->transitions.begin(), rules->transitions.end())) {
    return bad;
  }
  reader.take(std::uint64_t{counts.leap} * (is_wide ? 12 : 8) + counts.standard + counts.utc);
  std::string_view footer = as_text(reader.take(reader.remaining()));
  if (footer.size() > 2 && footer.front() == '\n' && footer.back() == '\n') {
    rules->footer = FooterParser(footer.substr(1, footer.size() - 2)).parse();
  }
  return TimeZone(std::move(rules));
}

Result<TimeZone> TimeZone::load(FileSystem& files, const std::string& name) {
  if (name.empty() || name == "UTC" || name == "Local") return utc();
  const Status unknown = invalid("unknown time zone " + name);
  if (name.find("..") != std::string::npos || name[0] == '/' ||
      name.find('\\') != std::string::npos) {
    return unknown;
  }
  const Result<std::string> text = read_file(files, "/usr/share/zoneinfo/" + name, kFileBytesMax);
  if (!text.ok()) return unknown;
  return decode(as_bytes(*text));
}

TimeZone::Offset TimeZone::offset_at(std::int64_t unix_s) const {
  if (rules_ == nullptr) return {};
  const auto after =
      std::upper_bound(rules_->transitions.begin(), rules_->transitions.end(), unix_s);
  if (after == rules_->transitions.begin()) return rules_->offsets[0];
  if (after == rules_->transitions.end() && rules_->footer) {
    return offset_by(*rules_->footer, unix_s);
  }
  return rules_
      ->offsets[rules_->types[static_cast<std::size_t>(after - rules_->transitions.begin()) - 1]];
}

}  // namespace tarsier::alerting
