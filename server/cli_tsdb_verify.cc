#include <memory>

#include <fmt/format.h>

#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_tsdb.h"
#include "server/clock.h"
#include "server/stderr_logger.h"
#include "tsdb/verification.h"

namespace tarsier::server {
namespace {

Result<std::string> parse_path(std::span<const std::string> arguments) {
  const CliArguments parsed = TRY(parse_cli(arguments, {}));
  if (parsed.rest.size() > 1) return invalid("unexpected " + parsed.rest[1]);
  return parsed.rest.empty() ? std::string("data/") : parsed.rest[0];
}

}  // namespace

int run_tsdb_verify(std::span<const std::string> arguments) {
  const Result<std::string> path = parse_path(arguments);
  if (!path.ok()) return cli_complain("tarsier: error: " + path.status().message(), kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const auto totals = tsdb::verify_database(*files, *path, [](const tsdb::Finding& finding) {
    cli_print(fmt::format("{}: {}\n", finding.path, finding.what));
  });
  if (!totals.ok()) return cli_complain(totals.status().message(), kCliFailed);
  cli_print(fmt::format(
      "{} blocks, {} series, {} chunks, {} samples, {} log segments, {} log records: {}\n",
      totals->blocks, totals->series, totals->chunks, totals->samples, totals->log_segments,
      totals->log_records,
      totals->findings == 0 ? "all sound" : fmt::format("{} problems", totals->findings)));
  return totals->findings == 0 ? kCliOk : kCliFailed;
}

int run_tsdb_repair(std::span<const std::string> arguments) {
  const Result<std::string> path = parse_path(arguments);
  if (!path.ok()) return cli_complain("tarsier: error: " + path.status().message(), kCliUsage);
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  StderrLogger log(LogLevel::kInfo, LogFormat::kLogfmt);
  const Result<std::uint64_t> count = tsdb::repair_database(*files, *path, now(), log);
  if (!count.ok()) return cli_complain(count.status().message(), kCliFailed);
  cli_print(*count == 0 ? std::string("nothing to repair\n")
                        : fmt::format("{} repairs; what was set aside is below {}/tarsier\n",
                                      *count, *path));
  return kCliOk;
}

}  // namespace tarsier::server
