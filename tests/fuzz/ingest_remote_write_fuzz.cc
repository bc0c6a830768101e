#include <string>

#include "base/check.h"
#include "base/compression.h"
#include "base/log.h"
#include "ingest/remote/write_request.h"
#include "ingest/remote_write.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/table_appender.h"

namespace tarsier {

/// The bytes as a whole request body would be after decompression, and as they are. Whatever they
/// hold: one answer, and never a server error.
void fuzz_one(Bytes input) {
  const std::string message(as_text(input));
  ingest::WriteRequest request;
  const ingest::DecodeLimits limits{.samples_max = 1000, .metadata_max = 100};
  (void)ingest::decode_write_request(message, limits, request);
  (void)ingest::decode_write_request_2(message, limits, 1 << 20, request);

  testing::TableHead head;
  NullLogger log;
  ingest::RemoteWriteReceiver receiver(
      ingest::WriteDoor{[&] { return head.appender(); },
                        [&](tsdb::LogPosition position, std::function<void(Status)> done) {
                          head.when_synced(position, std::move(done));
                        }},
      {.decompressed_bytes_max = 1 << 20, .samples_per_request_max = 1000}, HashKey{{1, 2, 3, 4}},
      log);
  std::string compressed;
  snappy_compress(input, compressed);
  const std::string type_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
  for (const auto& [body, type] : {std::pair(compressed, std::string()),
                                   {compressed, std::string()},
                                   {message, std::string()},
                                   {compressed, type_2},
                                   {compressed, type_2}}) {
    HttpRequest http;
    http.method = "POST";
    http.body = body;
    if (!type.empty()) http.headers = {{"Content-Type", type}};
    int answer_count = 0;
    receiver.handle(std::move(http), [&](const HttpResponse& response) {
      ++answer_count;
      CHECK(response.status == 204 || response.status == 400);
    });
    CHECK(answer_count == 1);
  }
}

}  // namespace tarsier
