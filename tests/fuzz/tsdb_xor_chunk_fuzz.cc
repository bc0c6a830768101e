#include <vector>

#include "base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier {

/// Whatever decodes must decode the same in both ways, and come back when encoded again.
void fuzz_one(Bytes input) {
  const std::vector<std::byte> chunk(input.begin(), input.end());  // Exact, so that overreads show.
  std::vector<tsdb::Sample> samples;
  tsdb::XorIterator it(chunk);
  while (it.next()) samples.push_back(it.sample());

  tsdb::SampleColumns columns;
  const Status status = tsdb::decode_xor_chunk(chunk, {}, columns);
  CHECK(status.ok() == it.status().ok());
  CHECK(columns.size() == samples.size());
  tsdb::XorEncoder encoder;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK((tsdb::Sample{Timestamp{columns.times_ms[i]}, columns.values[i]}) == samples[i]);
    encoder.append(samples[i]);
  }
  tsdb::XorIterator again(encoder.bytes());
  for (const tsdb::Sample& sample : samples) CHECK(again.next() && again.sample() == sample);
  CHECK(!again.next() && again.status().ok());
}

}  // namespace tarsier
