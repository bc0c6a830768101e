#include "server/trace_storage.h"

#include <utility>

#include "server/clock.h"

namespace tarsier::server {

Result<std::unique_ptr<TraceStorage>> TraceStorage::open(FileSystem& files, std::string directory,
                                                         const tracing::TraceStoreOptions& options,
                                                         Logger& log) {
  std::unique_ptr<tracing::TraceStore> store =
      TRY(tracing::TraceStore::open(files, std::move(directory), options, log, now()));
  return std::unique_ptr<TraceStorage>(new TraceStorage(std::move(store), log));
}

TraceStorage::TraceStorage(std::unique_ptr<tracing::TraceStore> store, Logger& log)
    : store_(std::move(store)), log_(log) {
  show_undecided(nullptr);
  scheduler_.add([this](Timestamp t) { return store_->run_due(t); });
}

TraceStorage::~TraceStorage() { stop(); }

void TraceStorage::show_undecided(const tracing::UndecidedTraces* undecided) {
  queries_ = std::make_unique<tracing::TraceQueries>(*store_, undecided);
  tempo_ = std::make_unique<tracing::TempoApi>(*queries_);
  jaeger_ = std::make_unique<tracing::JaegerApi>(*queries_);
}

void TraceStorage::stop() {
  if (std::exchange(is_stopped_, true)) return;
  scheduler_.stop();
  const Status closed = store_->close();
  if (!closed.ok()) log_.error("Closing the trace store failed", {{"err", closed.message()}});
}

}  // namespace tarsier::server
