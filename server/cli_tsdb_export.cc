#include <algorithm>
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/posix_file.h"
#include "base/quote.h"
#include "server/cli_arguments.h"
#include "server/cli_tsdb.h"
#include "server/clock.h"
#include "server/config.h"
#include "server/config_reader.h"
#include "server/stderr_logger.h"
#include "tsdb/sealing.h"

namespace tarsier::server {
namespace {

constexpr std::uint64_t kConfigBytesMax = 64 << 20;

Result<Timestamp> parse_ms(const std::string& text) {
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid(fmt::format("parsing {}: invalid syntax", quote(text)));
  }
  return Timestamp{ms};
}

void print_progress(const std::string& ulid, std::uint64_t done, std::uint64_t total) {
  cli_print(fmt::format("{}/{} {}\n", done, total, ulid));
}

Result<tsdb::ExportRequest> parse_export(std::span<const std::string> arguments) {
  const CliArguments parsed =
      TRY(parse_cli(arguments, {.switches = {"downsampled"},
                                .values = {"output", "min-time", "max-time", "thanos-label"}}));
  if (parsed.rest.size() > 1) return invalid("unexpected " + parsed.rest[1]);
  tsdb::ExportRequest request;
  request.data_directory = parsed.rest.empty() ? "data/" : parsed.rest[0];
  request.target = parsed.value("output", request.data_directory);
  if (parsed.has("min-time")) request.range.min = TRY(parse_ms(parsed.value("min-time")));
  if (parsed.has("max-time")) request.range.max = TRY(parse_ms(parsed.value("max-time")));
  request.progress = print_progress;
  request.now = now();
  for (const std::string& text : parsed.all("thanos-label")) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return invalid(fmt::format("want --thanos-label=NAME=VALUE, got {}", quote(text)));
    }
    request.thanos_labels.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::sort(request.thanos_labels.begin(), request.thanos_labels.end());
  if (parsed.has("downsampled")) {
    if (request.thanos_labels.empty()) return invalid("--downsampled needs --thanos-label");
    request.downsampled = standard_resolutions();
  }
  if (!request.thanos_labels.empty() && request.target == request.data_directory) {
    return invalid("--thanos-label needs --output: what Thanos reads is no data directory");
  }
  return request;
}

}  // namespace

int run_tsdb_export(std::span<const std::string> arguments) {
  Result<tsdb::ExportRequest> request = parse_export(arguments);
  if (!request.ok()) {
    return cli_complain("tarsier: error: " + request.status().message(), kCliUsage);
  }
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  StderrLogger log(LogLevel::kWarn, LogFormat::kLogfmt);
  std::uint64_t skipped = 0;
  request->skipped_series = &skipped;
  const Result<std::uint64_t> count = tsdb::export_blocks(*files, *request, log);
  if (!count.ok()) return cli_complain(count.status().message(), kCliFailed);
  cli_print(fmt::format("{} blocks are in {}\n", *count, request->target));
  if (skipped > 0) {
    cli_print(fmt::format("native histograms of {} series are not downsampled\n", skipped));
  }
  return kCliOk;
}

int run_tsdb_import(std::span<const std::string> arguments) {
  const Result<CliArguments> parsed = parse_cli(arguments, {});
  if (!parsed.ok()) return cli_complain("tarsier: error: " + parsed.status().message(), kCliUsage);
  if (parsed->rest.empty() || parsed->rest.size() > 2) {
    return cli_complain("tarsier: error: want a directory of blocks and a data directory",
                        kCliUsage);
  }
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  StderrLogger log(LogLevel::kWarn, LogFormat::kLogfmt);
  tsdb::ImportRequest request;
  request.from = parsed->rest[0];
  request.data_directory = parsed->rest.size() > 1 ? parsed->rest[1] : "data/";
  request.now = now();
  request.progress = print_progress;
  const Result<tsdb::ImportReport> report = tsdb::import_blocks(*files, request, log);
  if (!report.ok()) return cli_complain(report.status().message(), kCliFailed);
  cli_print(fmt::format("{} blocks imported, {} known, {} refused: {} samples in {} bytes\n",
                        report->imported, report->known, report->refused, report->samples,
                        report->bytes));
  return report->refused == 0 ? kCliOk : kCliFailed;
}

namespace {

/// The limits of the server's configuration, if one is named, and over them those of the arguments.
Result<tsdb::Options> parse_retention(const CliArguments& parsed, FileSystem& files) {
  tsdb::Options options;
  options.seal_after = hours(24);
  StorageConfig storage;
  if (parsed.has("config.file")) {
    const std::string path = parsed.value("config.file");
    const std::string yaml = TRY(read_file(files, path, kConfigBytesMax));
    ConfigSources sources;
    sources.file = path;
    storage = TRY(parse_config(yaml, sources)).storage;
  }
  options.retention = storage.retention_time.value_or(options.retention);
  options.retention_bytes = storage.retention_bytes.value_or(0);
  std::vector<RetentionEntry>& entries = storage.tiers.retention;
  if (entries.empty() || !entries.back().match.empty()) {
    entries.emplace_back().rows.resize(storage.tiers.resolutions.size());
  }
  const auto limit = [](const std::string& text) -> Result<std::optional<Duration>> {
    if (text == "off") return std::optional<Duration>();
    return std::optional(TRY(parse_duration(text)));
  };
  if (parsed.has("raw")) entries.back().samples = TRY(limit(parsed.value("raw")));
  for (std::size_t i = 0; i < storage.tiers.resolutions.size(); ++i) {
    const std::string name = format_duration(storage.tiers.resolutions[i]);
    if ((name == "5m" || name == "1h") && parsed.has(name)) {
      entries.back().rows[i] = TRY(limit(parsed.value(name)));
    }
  }
  apply_tiers(storage.tiers, options);
  if (parsed.has("size")) options.retention_bytes = TRY(parse_bytes(parsed.value("size")));
  return options;
}

}  // namespace

int run_tsdb_retention(std::span<const std::string> arguments) {
  const Result<CliArguments> parsed = parse_cli(
      arguments, {.switches = {"dry-run"}, .values = {"config.file", "raw", "5m", "1h", "size"}});
  if (!parsed.ok()) return cli_complain("tarsier: error: " + parsed.status().message(), kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const Result<tsdb::Options> options = parse_retention(*parsed, *files);
  if (!options.ok()) {
    return cli_complain("tarsier: error: " + options.status().message(), kCliUsage);
  }
  if (!parsed->has("dry-run") || parsed->rest.size() > 1) {
    return cli_complain("tarsier: error: want --dry-run and one data directory; the server deletes",
                        kCliUsage);
  }
  StderrLogger log(LogLevel::kWarn, LogFormat::kLogfmt);
  const std::string path = parsed->rest.empty() ? "data/" : parsed->rest[0];
  const auto doomed = tsdb::plan_retention(*files, path, *options, log);
  if (!doomed.ok()) return cli_complain(doomed.status().message(), kCliFailed);
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  for (const tsdb::DoomedSummary& block : *doomed) {
    if (block.series > 0) {
      cli_print(fmt::format("{} {} {} to {}, {} series, too old\n", block.path, block.tier,
                            block.min_time.ms, block.max_time.ms, block.series));
      continue;
    }
    bytes += block.bytes;
    ++count;
    cli_print(fmt::format("{} {} {} to {}, {} bytes, too {}\n", block.path, block.tier,
                          block.min_time.ms, block.max_time.ms, block.bytes,
                          block.limit == "time" ? "old" : "much"));
  }
  cli_print(fmt::format("{} blocks, {} bytes would go\n", count, bytes));
  return kCliOk;
}

std::string tier_table(const std::string& path) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const auto tiers = tsdb::summarize_tiers(*files, path);
  if (!tiers.ok() || (*tiers)[1].blocks == 0) return "";
  std::string text =
      "TIER       BLOCKS    SAMPLES         BYTES           INDEX BYTES   BYTES/SAMPLE\n";
  for (const tsdb::TierSummary& tier : *tiers) {
    const double each =
        tier.samples == 0 ? 0 : static_cast<double>(tier.bytes) / static_cast<double>(tier.samples);
    text += fmt::format("{:<10} {:<9} {:<15} {:<15} {:<13} {:.3f}\n", tier.name, tier.blocks,
                        tier.samples, tier.bytes, tier.index_bytes, each);
  }
  return text + "\n";
}

}  // namespace tarsier::server
