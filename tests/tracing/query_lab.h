#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/cancel.h"
#include "base/http.h"
#include "base/log.h"
#include "tests/support/faulty_file_system.h"
#include "tests/tracing/span_lab.h"
#include "tracing/trace_queries.h"
#include "tracing/trace_store.h"

namespace tarsier::tracing {

/// A store on a disk in memory with the questions that can be asked of it.
class QueryLab {
 public:
  static constexpr std::uint64_t kStart = 1'800'000'000'000'000'000;  // 2027-01-15T08:00:00Z
  static constexpr Timestamp kNow{1'800'000'060'000};

  explicit QueryLab(const UndecidedTraces* undecided = nullptr)
      : store_(opened(disk_, log_)), queries_(*store_, undecided) {}

  void keep(TraceId id, const std::vector<LabSpan>& spans) {
    SpanLab lab;
    lab.add(id, spans);
    EXPECT_TRUE(store_->keep(lab.traces(), kNow).ok());
  }
  /// A shop with a failing database, and a quick trace of its own.
  void keep_shop() {
    keep({.low = 0xabc}, {{.id = 1,
                           .name = "GET /cart",
                           .kind = SpanKind::kServer,
                           .start_ns = kStart,
                           .duration_ns = 2'000'000'000,
                           .attributes = {{"http.status_code", std::int64_t{500}}}},
                          {.id = 2,
                           .parent = 1,
                           .service = "db",
                           .name = "SELECT",
                           .kind = SpanKind::kClient,
                           .status = StatusCode::kError,
                           .message = "boom",
                           .start_ns = kStart + 1'000'000,
                           .duration_ns = 446'979'497,
                           .attributes = {{"db.system", std::string("pg")}},
                           .events = {"retry"}}});
    keep({.high = 5, .low = 7}, {{.id = 3,
                                  .name = "GET /",
                                  .kind = SpanKind::kServer,
                                  .start_ns = kStart + 30'000'000'000,
                                  .duration_ns = 5'000'000,
                                  .attributes = {{"http.status_code", std::int64_t{200}}}}});
  }
  void flush() { EXPECT_TRUE(store_->flush(kNow).ok()); }
  TraceStore& store() { return *store_; }
  const TraceQueries& queries() const { return queries_; }

  static HttpRequest request(std::vector<std::pair<std::string, std::string>> parameters = {},
                             std::string accept = "application/json") {
    HttpRequest out{.method = "GET", .parameters = std::move(parameters)};
    out.url_parameters = out.parameters;
    out.headers = {{"Accept", std::move(accept)}};
    out.received = kNow;
    out.cancel = std::make_shared<CancelToken>();
    return out;
  }

 private:
  static std::unique_ptr<TraceStore> opened(FileSystem& disk, Logger& log) {
    auto store = TraceStore::open(disk, "traces", {}, log, kNow);
    EXPECT_TRUE(store.ok());
    return std::move(*store);
  }

  testing::FaultyFileSystem disk_;
  NullLogger log_;
  const std::unique_ptr<TraceStore> store_;
  const TraceQueries queries_;
};

}  // namespace tarsier::tracing
