#include <memory>
#include <string>

#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/faulty_file_system.h"
#include "tsdb/block/sealed_columns.h"
#include "tsdb/block/sealed_meta.h"

namespace tarsier {

/// Any file `columns`, read at every offset; and as meta.json.
void fuzz_one(Bytes input) {
  static_cast<void>(tsdb::parse_sealed_meta(as_text(input)));
  testing::FaultyFileSystem files;
  CHECK(write_file_atomically(files, "./columns", as_text(input)).ok());
  const auto reader = tsdb::SealedColumnsReader::open(files, ".");
  if (!reader.ok()) return;
  tsdb::SampleColumns floats;
  tsdb::HistogramColumns histograms;
  for (std::uint64_t ref = 0; ref < input.size() && ref < 256; ++ref) {
    floats.clear();
    static_cast<void>((*reader)->read(ref, {TimeRange{}, floats, &histograms}));
  }
}

}  // namespace tarsier
