#include "server/cli_tsdb.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/calendar.h"
#include "base/json_writer.h"
#include "base/number_text.h"
#include "base/posix_file.h"
#include "base/quote.h"
#include "query/parse.h"
#include "server/cli_arguments.h"
#include "server/stderr_logger.h"
#include "tsdb/offline.h"

namespace tarsier::server {
namespace {

using tsdb::OfflineDb;

constexpr const char* kDefaultPath = "data/";
/// Output is handed over in pieces of this size.
constexpr std::size_t kPrintBytes = std::size_t{1} << 16;

std::string seconds_text(std::int64_t ms) {
  std::string text = fmt::format("{}.{:03}", ms / 1000, ms % 1000);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

/// "2023-11-14 22:13:20 +0000 UTC"
std::string time_text(Timestamp t) {
  constexpr std::int64_t kDay = 86'400;
  std::int64_t second = t.ms / 1000;
  std::int64_t day = second / kDay;
  second %= kDay;
  if (second < 0) {
    second += kDay;
    --day;
  }
  const Date date = date_from(day);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} +0000 UTC", date.year, date.month,
                     date.day, second / 3600, second / 60 % 60, second % 60);
}

/// "8KiB305B": every unit that is not zero.
std::string bytes_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes == 0) return "0B";
  std::string text;
  for (const std::string_view unit : kUnits) {
    if (bytes % 1024 != 0) text = fmt::format("{}{}{}", bytes % 1024, unit, text);
    bytes /= 1024;
  }
  return text;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

std::string braces(const tsdb::Labels& labels, std::string_view separator, bool with_name) {
  std::string text = "{";
  for (const tsdb::LabelView& label : labels) {
    if (!with_name && label.name == tsdb::kMetricName) continue;
    if (text.size() > 1) text += separator;
    text += is_plain_name(label.name) ? std::string(label.name) : quote(label.name);
    text += '=';
    text += quote(label.value);
  }
  return text + "}";
}

enum class DumpFormat : unsigned char { kProm, kSeriesJson, kOpenMetrics };

struct Dump {
  std::string path;
  TimeRange range;
  std::vector<std::vector<tsdb::Matcher>> selectors;
  DumpFormat format = DumpFormat::kProm;
};

bool passes(const std::vector<tsdb::Matcher>& matchers, const tsdb::Labels& labels) {
  return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
    return matcher.matches(labels.get(matcher.name()));
  });
}

std::string json_labels(const tsdb::Labels& labels) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  for (const tsdb::LabelView& label : labels) json.field(label.name, label.value);
  json.end_object();
  return out;
}

/// Prints the samples of one series.
void dump_series(const Dump& dump, const tsdb::Labels& labels, const tsdb::SampleColumns& columns) {
  if (dump.format == DumpFormat::kSeriesJson) {
    if (columns.size() > 0) cli_print(json_labels(labels) + "\n");
    return;
  }
  const bool is_openmetrics = dump.format == DumpFormat::kOpenMetrics;
  const std::string series =
      is_openmetrics ? std::string(labels.get(tsdb::kMetricName)) + braces(labels, ",", false)
                     : braces(labels, ", ", true);
  std::string text;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (is_openmetrics && tsdb::is_stale_marker(columns.values[i])) continue;
    text += series + " " + short_number(columns.values[i]);
    const auto t = columns.times_ms[i];
    text += is_openmetrics ? fmt::format(" {:.3f}\n", static_cast<double>(t) / 1000)
                           : fmt::format(" {}\n", t);
    if (text.size() < kPrintBytes) continue;
    cli_print(text);
    text.clear();
  }
  cli_print(text);
}

Status run_dump(const Dump& dump) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  StderrLogger log(LogLevel::kWarn, LogFormat::kLogfmt);
  const auto db = TRY(OfflineDb::open(*files, dump.path, OfflineDb::Scope::kBlocksAndLog, log));
  const auto querier = TRY(db->querier(dump.range));
  tsdb::SelectHints hints;
  hints.range = dump.range;
  tsdb::SampleColumns columns;
  for (std::size_t s = 0; s < dump.selectors.size(); ++s) {
    const auto set = TRY(querier->select(dump.selectors[s], hints, nullptr));
    for (std::size_t i = 0; i < set->size(); ++i) {
      const tsdb::Labels labels = set->labels(i);
      // Each series once, whoever selects it again.
      const auto earlier = std::span(dump.selectors).first(s);
      if (std::any_of(earlier.begin(), earlier.end(),
                      [&](const auto& matchers) { return passes(matchers, labels); })) {
        continue;
      }
      columns.clear();
      TRY(set->read(i, dump.range, columns));
      dump_series(dump, labels, columns);
    }
  }
  if (dump.format == DumpFormat::kOpenMetrics) cli_print("# EOF\n");
  return {};
}

Result<Timestamp> parse_ms(const std::string& text) {
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid(fmt::format("parsing {}: invalid syntax", quote(text)));
  }
  return Timestamp{ms};
}

Result<Dump> parse_dump(std::span<const std::string> arguments, DumpFormat format) {
  const CliArguments parsed = TRY(parse_cli(
      arguments,
      {.switches = {}, .values = {"min-time", "max-time", "match", "format", "sandbox-dir-root"}}));
  if (parsed.rest.size() > 1) return invalid("unexpected " + parsed.rest[1]);
  Dump dump;
  dump.format = format;
  dump.path = parsed.rest.empty() ? kDefaultPath : parsed.rest[0];
  if (parsed.has("min-time")) dump.range.min = TRY(parse_ms(parsed.value("min-time")));
  if (parsed.has("max-time")) dump.range.max = TRY(parse_ms(parsed.value("max-time")));
  for (const std::string& text : parsed.all("match")) {
    dump.selectors.push_back(TRY(query::parse_metric_selector(text)));
  }
  if (dump.selectors.empty()) dump.selectors.emplace_back();
  const std::string name = parsed.value("format", "prom");
  if (name != "prom" && (name != "seriesjson" || format == DumpFormat::kOpenMetrics)) {
    return invalid(fmt::format("enum value must be one of prom,seriesjson, got '{}'", name));
  }
  if (name == "seriesjson") dump.format = DumpFormat::kSeriesJson;
  return dump;
}

int dump(std::span<const std::string> arguments, DumpFormat format) {
  const Result<Dump> parsed = parse_dump(arguments, format);
  if (!parsed.ok()) {
    return cli_complain("tarsier: error: " + parsed.status().message(), kCliFailed);
  }
  const Status status = run_dump(*parsed);
  return status.ok() ? kCliOk : cli_complain(status.message(), kCliFailed);
}

int list(std::span<const std::string> arguments) {
  const Result<CliArguments> parsed =
      parse_cli(arguments, {.switches = {"human-readable,r"}, .values = {}});
  if (!parsed.ok()) return cli_complain("tarsier: error: " + parsed.status().message(), kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  StderrLogger log(LogLevel::kWarn, LogFormat::kLogfmt);
  const auto db = OfflineDb::open(*files, parsed->rest.empty() ? kDefaultPath : parsed->rest[0],
                                  OfflineDb::Scope::kBlocks, log);
  if (!db.ok()) return cli_complain(db.status().message(), kCliFailed);
  const TableNumbers numbers =
      parsed->has("human-readable") ? TableNumbers::kHuman : TableNumbers::kRaw;
  cli_print(block_table((*db)->blocks(), numbers, true));
  return kCliOk;
}

}  // namespace

std::string go_duration(Duration duration) {
  if (duration.ms == 0) return "0s";
  const bool is_negative = duration.ms < 0;
  const std::int64_t ms = is_negative ? -duration.ms : duration.ms;
  std::string text;
  if (ms < 1000) {
    text = fmt::format("{}ms", ms);
  } else {
    const std::int64_t hour = ms / 3'600'000;
    const std::int64_t minute = ms / 60'000 % 60;
    if (hour > 0) text += fmt::format("{}h", hour);
    if (hour > 0 || minute > 0) text += fmt::format("{}m", minute);
    text += seconds_text(ms % 60'000) + "s";
  }
  return (is_negative ? "-" : "") + text;
}

std::string block_table(const std::vector<tsdb::BlockSummary>& blocks, TableNumbers numbers,
                        bool with_headline) {
  constexpr std::size_t kCellWidthMin = 13;
  constexpr std::size_t kPadding = 2;
  std::vector<std::vector<std::string>> rows;
  if (with_headline) {
    rows.push_back({"BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS",
                    "NUM SERIES", "SIZE"});
  }
  const bool is_human = numbers == TableNumbers::kHuman;
  for (const tsdb::BlockSummary& block : blocks) {
    rows.push_back(
        {block.ulid, is_human ? time_text(block.min_time) : std::to_string(block.min_time.ms),
         is_human ? time_text(block.max_time) : std::to_string(block.max_time.ms),
         go_duration(block.max_time - block.min_time), std::to_string(block.sample_count),
         std::to_string(block.chunk_count), std::to_string(block.series_count),
         is_human ? bytes_text(block.bytes) : std::to_string(block.bytes)});
  }
  if (rows.empty()) return "";
  std::vector<std::size_t> widths(rows[0].size(), kCellWidthMin);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size() + kPadding);
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += row[i] + std::string(widths[i] - row[i].size(), ' ');
    }
    text += row.back() + "\n";
  }
  return text;
}

std::string tsdb_usage() {
  return "tarsier tsdb list [-r] [PATH]            list blocks\n"
         "tarsier tsdb analyze [PATH] [BLOCK]      cardinality, churn and chunks of a block\n"
         "                                         (--limit --extended --match)\n"
         "tarsier tsdb dump [PATH]                 print samples (--min-time --max-time --match "
         "--format)\n"
         "tarsier tsdb dump-openmetrics [PATH]     the same as OpenMetrics text\n"
         "tarsier tsdb verify [PATH]               read everything, name what is damaged\n"
         "tarsier tsdb repair [PATH]               set aside what is damaged, save the rest\n"
         "tarsier tsdb export [PATH]               bring sealed blocks back, in place or "
         "elsewhere\n"
         "                                         (--output --min-time --max-time --thanos-label\n"
         "                                         --downsampled)\n"
         "tarsier tsdb import FROM [PATH]          seal a directory of blocks into PATH\n"
         "tarsier tsdb retention --dry-run [PATH]  what retention would delete (--config.file "
         "--raw --5m --1h --size)\n"
         "tarsier tsdb create-blocks-from openmetrics FILE [PATH]\n"
         "                                         make blocks of samples with timestamps\n"
         "                                         (-q -r --max-block-duration --label)\n";
}

int run_tsdb(std::span<const std::string> arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  const auto rest = arguments.empty() ? arguments : arguments.subspan(1);
  if (command == "list") return list(rest);
  if (command == "analyze") return run_tsdb_analyze(rest);
  if (command == "dump") return dump(rest, DumpFormat::kProm);
  if (command == "dump-openmetrics") return dump(rest, DumpFormat::kOpenMetrics);
  if (command == "verify") return run_tsdb_verify(rest);
  if (command == "repair") return run_tsdb_repair(rest);
  if (command == "export") return run_tsdb_export(rest);
  if (command == "import") return run_tsdb_import(rest);
  if (command == "retention") return run_tsdb_retention(rest);
  if (command == "create-blocks-from") return run_tsdb_create_blocks(rest);
  return cli_complain("tarsier: error: expected a command of tsdb, got " + quote(command) +
                          "; there are:\n" + tsdb_usage(),
                      kCliUsage);
}

}  // namespace tarsier::server
