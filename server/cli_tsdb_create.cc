#include <cstdio>
#include <memory>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/duration.h"
#include "base/posix_file.h"
#include "base/quote.h"
#include "ingest/openmetrics_samples.h"
#include "server/cli_arguments.h"
#include "server/cli_tsdb.h"
#include "server/clock.h"
#include "tsdb/block_builder.h"

namespace tarsier::server {
namespace {

using tsdb::BlockBuilder;

struct Backfill {
  std::string input;
  std::string output = "data/";
  std::vector<std::pair<std::string, std::string>> labels;  ///< For every series.
  Duration block_duration = hours(2);
  TableNumbers numbers = TableNumbers::kRaw;
  bool is_quiet = false;
};

/// The text of a file: mapped, so that its size is not ours; of a pipe: read.
class Input final {
 public:
  Status open(FileSystem& files, const std::string& path) {
    auto file = files.open_readable(path == "-" ? "/dev/stdin" : path, Access::kMap);
    if (file.ok()) {
      file_ = std::move(*file);
      return {};
    }
    if (file.status().code() != Code::kInvalid) return file.status();
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
        std::fopen(path == "-" ? "/dev/stdin" : path.c_str(), "rb"), std::fclose);
    if (!pipe) return not_found(path + ": cannot be read");
    char piece[1 << 16];
    while (const std::size_t size = std::fread(piece, 1, sizeof piece, pipe.get())) {
      text_.append(piece, size);
    }
    return {};
  }
  std::string_view text() const { return file_ ? as_text(file_->mapped()) : text_; }

 private:
  std::unique_ptr<ReadableFile> file_;
  std::string text_;
};

Result<Backfill> parse_backfill(std::span<const std::string> arguments) {
  const CliArguments parsed =
      TRY(parse_cli(arguments, {.switches = {"human-readable,r", "quiet,q"},
                                .values = {"max-block-duration", "label"}}));
  const std::vector<std::string>& rest = parsed.rest;
  if (rest.empty() || rest[0] != "openmetrics") {
    return invalid("expected command openmetrics" +
                   (rest.empty() ? "" : ", got " + quote(rest[0])));
  }
  if (rest.size() < 2) return invalid("required argument 'input file' not provided");
  if (rest.size() > 3) return invalid("unexpected " + rest[3]);
  Backfill out;
  out.input = rest[1];
  if (rest.size() == 3) out.output = rest[2];
  if (parsed.has("max-block-duration")) {
    out.block_duration =
        tsdb::backfill_block_duration(TRY(parse_duration(parsed.value("max-block-duration"))));
  }
  for (const std::string& label : parsed.all("label")) {
    const std::size_t equals = label.find('=');
    if (equals == std::string::npos) {
      return invalid(fmt::format("expected KEY=VALUE got '{}'", label));
    }
    out.labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
  }
  out.is_quiet = parsed.has("quiet");
  if (parsed.has("human-readable")) out.numbers = TableNumbers::kHuman;
  return out;
}

Status create_blocks(const Backfill& backfill) {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  Input input;
  TRY(input.open(*files, backfill.input));
  const auto builder = TRY(BlockBuilder::create(
      *files, backfill.output, {.block_duration = backfill.block_duration, .now = now()}));
  // By the text of the series: its labels are parsed once as long as the builder knows it.
  std::unordered_map<std::string_view, std::size_t> known;
  const auto take = [&](const ingest::TextSample& sample) -> Status {
    auto found = known.find(sample.section);
    if (found == known.end()) {
      tsdb::LabelsBuilder labels(TRY(sample.labels()));
      for (const auto& [name, value] : backfill.labels) labels.set(name, value);
      found = known.emplace(sample.section, builder->add_series(labels.build())).first;
    }
    if (TRY(builder->append(found->second, sample.sample)) == BlockBuilder::Appended::kForgotten) {
      known.clear();
    }
    return {};
  };
  TRY(ingest::read_openmetrics_samples(input.text(), take));
  const std::vector<tsdb::BlockSummary> blocks = TRY(builder->finish());
  if (!backfill.is_quiet && !blocks.empty()) {
    cli_print(block_table(blocks, backfill.numbers, true));
  }
  return {};
}

}  // namespace

int run_tsdb_create_blocks(std::span<const std::string> arguments) {
  const Result<Backfill> backfill = parse_backfill(arguments);
  if (!backfill.ok()) {
    return cli_complain("tarsier: error: " + backfill.status().message(), kCliUsage);
  }
  const Status status = create_blocks(*backfill);
  return status.ok() ? kCliOk : cli_complain("block creation: " + status.message(), kCliFailed);
}

}  // namespace tarsier::server
