#include <string>

#include "base/check.h"
#include "base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tsdb/db.h"
#include "tsdb/wal/record.h"

// The input is a segment of a write-behind log, and a record in one: a database is opened on it and
// on a log that knows a few series, everything is read, deleted in part, and read again the same
// after a restart.

namespace tarsier {
namespace {

using Times = std::vector<std::vector<std::int64_t>>;

Times read_all(tsdb::Db& db) {
  Times times;
  const auto querier = db.querier({}).value();
  const auto set = querier->select({}, {}, nullptr).value();
  for (std::size_t i = 0; i < set->size(); ++i) {
    tsdb::SampleColumns floats;
    tsdb::HistogramColumns histograms;
    CHECK(set->read_mixed(i, {}, floats, histograms).ok());
    floats.times_ms.insert(floats.times_ms.end(), histograms.times_ms.begin(),
                           histograms.times_ms.end());
    times.push_back(floats.times_ms);
  }
  return times;
}

void open_on(std::string_view segment) {
  using namespace tsdb;
  testing::FaultyFileSystem files;
  std::vector<RefSeries> series;
  for (std::uint64_t ref = 1; ref <= 4; ++ref) {
    series.push_back({SeriesRef{ref}, {{"__name__", "m" + std::to_string(ref)}}});
  }
  std::string record;
  encode_series(series, record);
  testing::put_file(files, "data/wal/00000000",
                    testing::lay_out({record}, WalCompression::kNone, 1 << 20).at(0));
  testing::put_file(files, "data/wbl/00000000", segment);
  NullLogger quiet;
  Options options;
  options.out_of_order_time_window = hours(1);
  Times expected;
  for (int round = 0; round < 2; ++round) {
    auto db = Db::open(files, "data", options, quiet, nullptr);
    CHECK(db.ok());
    const Times found = read_all(**db);
    CHECK(round == 0 || found == expected);
    if (round == 0) {
      CHECK((*db)->delete_series({}, {Timestamp{1'000}, Timestamp{1'700'000'000'000}}).ok());
      expected = read_all(**db);
    }
    CHECK((*db)->close().ok());
  }
}

}  // namespace

void fuzz_one(Bytes input) {
  open_on(as_text(input));
  if (input.empty() || input.size() > 30'000) return;
  open_on(
      testing::lay_out({std::string(as_text(input))}, tsdb::WalCompression::kNone, 1 << 20).at(0));
}

}  // namespace tarsier
