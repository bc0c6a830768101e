#include "query/query_log.h"

#include "base/bytes.h"

namespace tarsier::query {

Status QueryLog::open(const std::string& path) {
  std::unique_ptr<WritableFile> file;
  if (!path.empty()) {
    Result<std::unique_ptr<WritableFile>> opened = files_.open_writable(path, OpenMode::kAppend);
    if (!opened.ok()) return std::move(opened).status().with_prefix("can't open the query log");
    file = std::move(*opened);
  }
  const MutexLock lock(mutex_);
  file_.swap(file);
  return {};
}

bool QueryLog::is_on() const {
  const MutexLock lock(mutex_);
  return file_ != nullptr;
}

void QueryLog::write(std::string line) {
  line += '\n';
  const MutexLock lock(mutex_);
  if (file_ == nullptr) return;
  if (!file_->append(as_bytes(line)).ok()) failures_.add();
}

void QueryLog::collect(MetricWriter& out) const {
  out.gauge("prometheus_engine_query_log_enabled", "State of the query log.", is_on() ? 1 : 0);
  out.counter("prometheus_engine_query_log_failures_total", "The number of query log failures.",
              static_cast<double>(failures_.value()));
}

}  // namespace tarsier::query
