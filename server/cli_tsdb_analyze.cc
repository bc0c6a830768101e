#include <algorithm>
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "base/posix_file.h"
#include "query/parse.h"
#include "server/cli_arguments.h"
#include "server/cli_tsdb.h"
#include "tsdb/block_analysis.h"

namespace tarsier::server {
namespace {

using tsdb::BlockAnalysis;

constexpr std::size_t kLimitDefault = 20;
constexpr std::size_t kBarMax = 100;

void print_list(std::string_view title, const BlockAnalysis::List& list, std::size_t limit) {
  std::string text = fmt::format("\n{}:\n", title);
  for (std::size_t i = 0; i < std::min(limit, list.size()); ++i) {
    text += fmt::format("{} {}\n", list[i].first, list[i].second);
  }
  cli_print(text);
}

/// At most about ten bars whose width is a power of ten.
void print_distribution(std::string_view title, std::vector<std::uint32_t> values,
                        std::size_t total) {
  if (values.empty()) return cli_print(fmt::format("{}: N/A\n\n", title));
  std::sort(values.begin(), values.end());
  const std::uint64_t least = values.front();
  const std::uint64_t most = values.back();
  std::uint64_t width = 10;
  while (width < (most - least) / 10 && width <= 10'000) width *= 10;
  const std::uint64_t begin = least / width * width;
  std::vector<std::size_t> bars(static_cast<std::size_t>((most - begin) / width) + 1);
  std::uint64_t sum = 0;
  for (const std::uint32_t value : values) {
    sum += value;
    ++bars[static_cast<std::size_t>((value - begin) / width)];
  }
  const std::size_t low_digits = std::to_string(begin + bars.size() * width).size();
  const std::size_t high_digits = std::to_string(begin + (bars.size() + 1) * width).size();
  const std::size_t count_digits =
      std::to_string(*std::max_element(bars.begin(), bars.end())).size();
  std::string text =
      fmt::format("{} (min/avg/max): {}/{}/{}\n", title, least, sum / values.size(), most);
  for (std::size_t i = 0; i < bars.size(); ++i) {
    text += fmt::format("[{:{}}, {:{}}]: {:{}} {}\n", begin + i * width + 1, low_digits,
                        begin + (i + 1) * width, high_digits, bars[i], count_digits,
                        std::string(kBarMax * bars[i] / total, '#'));
  }
  cli_print(text + "\n");
}

void print_chunks(const BlockAnalysis& block) {
  const std::size_t total =
      block.float_chunks.samples.size() + block.histogram_chunks.samples.size();
  cli_print("\nCompaction analysis:\n\n");
  print_distribution("samples per float chunk", block.float_chunks.samples, total);
  print_distribution("bytes per float chunk", block.float_chunks.bytes, total);
  print_distribution("samples per histogram chunk", block.histogram_chunks.samples, total);
  print_distribution("bytes per histogram chunk", block.histogram_chunks.bytes, total);
}

void print_analysis(const BlockAnalysis& block, const std::string& matcher, std::size_t limit) {
  std::string text = fmt::format("Block ID: {}\nDuration: {}\nTotal Series: {}\n", block.ulid,
                                 go_duration(block.duration), block.series_count);
  if (!matcher.empty()) text += fmt::format("Matcher: {}\n", matcher);
  text += fmt::format("Label names: {}\n", block.label_name_count);
  if (!matcher.empty()) text += fmt::format("Matched series: {}\n", block.matched_count);
  text +=
      fmt::format("Postings (unique label pairs): {}\nPostings entries (total label pairs): {}\n",
                  block.label_pair_count, block.posting_count);
  const auto per_sample = [&](std::uint64_t bytes) {
    return block.sample_count == 0
               ? 0.0
               : static_cast<double>(bytes) / static_cast<double>(block.sample_count);
  };
  text += fmt::format(
      "Samples: {}\nBytes per sample: {:.3f} (chunks {:.3f}, index {:.3f})\nTombstones: {}\n",
      block.sample_count, per_sample(block.chunk_bytes + block.index_bytes),
      per_sample(block.chunk_bytes), per_sample(block.index_bytes), block.tombstone_count);
  cli_print(text);
  print_list("Label pairs most involved in churning", block.churn_by_label_pair, limit);
  print_list("Label names most involved in churning", block.churn_by_label_name, limit);
  print_list("Most common label pairs", block.series_by_label_pair, limit);
  print_list("Label names with highest cumulative label value length",
             block.value_bytes_by_label_name, limit);
  print_list("Highest cardinality labels", block.values_by_label_name, limit);
  print_list("Highest cardinality metric names", block.series_by_metric_name, limit);
}

}  // namespace

int run_tsdb_analyze(std::span<const std::string> arguments) {
  const Result<CliArguments> parsed =
      parse_cli(arguments, {.switches = {"extended"}, .values = {"limit", "match"}});
  if (!parsed.ok()) return cli_complain("tarsier: error: " + parsed.status().message(), kCliUsage);
  std::size_t limit = kLimitDefault;
  if (parsed->has("limit")) {
    const std::string text = parsed->value("limit");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size()) {
      return cli_complain("tarsier: error: --limit: " + text + " is no number", kCliUsage);
    }
  }
  tsdb::BlockAnalysisRequest request;
  request.with_chunks = parsed->has("extended");
  const std::string matcher = parsed->value("match");
  if (!matcher.empty()) {
    Result<std::vector<tsdb::Matcher>> matchers = query::parse_metric_selector(matcher);
    if (!matchers.ok()) return cli_complain(matchers.status().message(), kCliFailed);
    request.matchers = std::move(*matchers);
  }
  const std::string path = parsed->rest.empty() ? "data/" : parsed->rest[0];
  if (parsed->rest.size() > 1) request.ulid = parsed->rest[1];
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  const std::string tiers = request.ulid.empty() ? tier_table(path) : "";
  cli_print(tiers);
  const Result<BlockAnalysis> block = tsdb::analyze_block(*files, path, request);
  // With everything sealed there is no block to look into.
  if (!block.ok() && !tiers.empty()) return kCliOk;
  if (!block.ok()) return cli_complain(block.status().message(), kCliFailed);
  print_analysis(*block, matcher, limit);
  if (request.with_chunks) print_chunks(*block);
  return kCliOk;
}

}  // namespace tarsier::server
