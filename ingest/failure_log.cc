#include "ingest/failure_log.h"

#include <utility>

#include "base/bytes.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"

namespace tarsier::ingest {

void FailureLog::open(const std::set<std::string>& paths) {
  std::map<std::string, std::unique_ptr<WritableFile>> opened;
  for (const std::string& path : paths) {
    Result<std::unique_ptr<WritableFile>> file = files_.open_writable(path, OpenMode::kAppend);
    if (file.ok()) {
      opened[path] = std::move(*file);
      continue;
    }
    failures_.add();
    log_.error("A scrape failure log cannot be opened",
               {{"file", path}, {"err", file.status().message()}});
  }
  const MutexLock lock(mutex_);
  for (auto& [path, file] : open_) {
    if (paths.contains(path)) opened.try_emplace(path, std::move(file));
  }
  open_.swap(opened);
}

void FailureLog::write(const std::string& path, Timestamp now, std::string_view job,
                       std::string_view target, std::string_view error) {
  std::string line;
  JsonWriter json(line);
  json.begin_object();
  json.field("time", std::string_view(format_rfc3339_ms(now)));
  json.field("level", "ERROR");
  json.field("msg", error);
  json.field("job_name", job);
  json.field("target", target);
  json.end_object();
  line += '\n';
  const MutexLock lock(mutex_);
  const auto file = open_.find(path);
  if (file == open_.end()) return;
  if (!file->second->append(as_bytes(line)).ok()) failures_.add();
}

void FailureLog::collect(MetricWriter& out) const {
  out.counter("tarsier_scrape_failure_log_failures_total",
              "Scrape failure logs that could not be opened or written to.",
              static_cast<double>(failures_.value()));
}

}  // namespace tarsier::ingest
