#include "server/cli_dashboards.h"

#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json_reader.h"
#include "base/percent_encoding.h"
#include "base/posix_file.h"
#include "server/cli_arguments.h"
#include "server/cli_ask.h"
#include "server/dashboard_check.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kDashboardBytesMax = std::size_t{16} << 20;
constexpr int kFindings = 3;

/// How many series the server has for it; kInvalid with its error.
Result<std::size_t> series_of(const std::string& server, const std::string& expression,
                              const std::function<Result<HttpResponse>(HttpFetch)>& ask) {
  HttpFetch fetch{.url = server + "/api/v1/query?query=" + percent_encoded(expression)};
  const HttpResponse response = TRY(ask(std::move(fetch)));
  const JsonValue answer = TRY(parse_json(response.body, kAnswerLimits));
  const JsonValue* error = answer.find("error");
  if (error != nullptr) return invalid(TRY(error->as_string()));
  const JsonValue* data = answer.find("data");
  const JsonValue* result = data ? data->find("result") : nullptr;
  if (result == nullptr) return invalid("the answer is not Prometheus'");
  return result->items().size();
}

}  // namespace

int check_dashboards(std::span<const std::string> arguments,
                     const std::function<Result<HttpResponse>(HttpFetch)>& ask,
                     const CommandOutput& output) {
  const Result<CliArguments> parsed =
      parse_cli(arguments, {.switches = {"lint-fatal"}, .values = {"url"}});
  if (!parsed.ok() || parsed->rest.empty()) {
    output.err((parsed.ok() ? "" : "error: " + parsed.status().message() + "\n") +
               "usage: tarsier check dashboards [--url=SERVER] [--lint-fatal] FILE...\n");
    return kCliUsage;
  }
  const std::string server = parsed->has("url") ? server_url(parsed->value("url")) : "";
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  bool has_problems = false;
  bool has_findings = false;
  for (const std::string& path : parsed->rest) {
    output.out(fmt::format("Checking {}\n", path));
    const Result<std::string> text = read_file(*files, path, kDashboardBytesMax);
    DashboardReport report;
    if (text.ok()) {
      report = check_dashboard(*text);
    } else {
      report.problems.push_back(text.status().message());
    }
    std::size_t series = 0;
    for (const DashboardQuery& query : report.queries) {
      if (server.empty()) break;
      const Result<std::size_t> found = series_of(server, query.expression, ask);
      if (!found.ok()) {
        report.problems.push_back(fmt::format("{}: {}", query.place, found.status().message()));
      } else if (*found == 0 && !query.is_optional) {
        report.problems.push_back(fmt::format("{}: no series: {}", query.place, query.expression));
      } else {
        series += *found;
      }
    }
    for (const std::string& finding : report.findings) output.out("  lint: " + finding + "\n");
    for (const std::string& problem : report.problems) output.err("  FAILED: " + problem + "\n");
    has_problems = has_problems || !report.problems.empty();
    has_findings = has_findings || !report.findings.empty();
    if (!report.problems.empty()) continue;
    output.out(fmt::format("  SUCCESS: {} queries parsed{}\n\n", report.queries.size(),
                           server.empty() ? "" : fmt::format(", {} series found", series)));
  }
  if (has_problems) return kCliFailed;
  return has_findings && parsed->has("lint-fatal") ? kFindings : kCliOk;
}

}  // namespace tarsier::server
