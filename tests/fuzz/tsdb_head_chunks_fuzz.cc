#include <string>

#include "base/check.h"
#include "base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/log_tools.h"
#include "tsdb/db.h"
#include "tsdb/wal/record.h"

// The input is a head chunk file, as another program may have left it: a database is opened on it
// and on a log that knows a few series, everything is read, and more is appended.

namespace tarsier {

void fuzz_one(Bytes input) {
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
  testing::put_file(files, "data/chunks_head/000001", as_text(input));
  NullLogger quiet;
  Options options;
  options.out_of_order_time_window = hours(1);
  for (int round = 0; round < 2; ++round) {
    auto db = Db::open(files, "data", options, quiet, nullptr);
    CHECK(db.ok());
    {
      const auto querier = (*db)->querier({}).value();
      const auto set = querier->select({}, {}, nullptr).value();
      for (std::size_t i = 0; i < set->size(); ++i) {
        SampleColumns floats;
        HistogramColumns histograms;
        static_cast<void>(set->read_mixed(i, {}, floats, histograms));
      }
      const auto appender = (*db)->appender();
      const SeriesRef ref = appender->resolve(series[0].labels).value();
      static_cast<void>(appender->append(ref, {Timestamp{1'700'000'000'000}, 1.0}));
      IntegerHistogram histogram;
      histogram.layout.positive_spans = {{0, 1}};
      histogram.positive_deltas = {1};
      histogram.count = 1;
      static_cast<void>(appender->append_histogram(ref, Timestamp{1'700'000'000'001}, histogram));
      CHECK(appender->commit().ok());
    }
    CHECK((*db)->close().ok());
  }
}

}  // namespace tarsier
