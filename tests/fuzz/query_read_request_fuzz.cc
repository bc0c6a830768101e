#include <memory>
#include <string>

#include "base/check.h"
#include "base/compression.h"
#include "query/remote_read.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/table_storage.h"

namespace tarsier {

/// The bytes as a remote read request after decompression: whatever they hold, there is an answer,
/// and it is no server error.
void fuzz_one(Bytes input) {
  testing::TableStorage storage;
  storage.add({{"__name__", "x"}, {"job", "a"}}, Timestamp{1000}, 1);
  HttpRequest request;
  snappy_compress(input, request.body);
  request.cancel = std::make_shared<CancelToken>();
  const HttpResponse response =
      query::remote_read(request, storage, {.samples_max = 100, .request_bytes_max = 1 << 20},
                         {{"zone", "b"}}, nullptr);
  CHECK(response.status == 200 || response.status == 400, std::to_string(response.status));
}

}  // namespace tarsier
