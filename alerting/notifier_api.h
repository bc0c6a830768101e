#pragma once

#include <string>

#include "alerting/notifier.h"
#include "base/http.h"
#include "base/time.h"

namespace tarsier::alerting {

/// What the process says of itself in /api/v2/status.
struct NotifierVersion {
  std::string version;
  std::string revision;
  Timestamp started;
};

/// Alertmanager's API, version 2, and ours beside it. Each call answers one request at its
/// `received` time; any number of threads. Posts wait for the disk.
class NotifierApi final {
 public:
  NotifierApi(Notifier& notifier, NotifierVersion version)
      : notifier_(notifier), version_(std::move(version)) {}

  HttpResponse status(const HttpRequest& request) const;
  HttpResponse receivers(const HttpRequest& request) const;
  HttpResponse alerts(const HttpRequest& request) const;
  HttpResponse post_alerts(const HttpRequest& request) const;
  HttpResponse groups(const HttpRequest& request) const;
  HttpResponse silences(const HttpRequest& request) const;
  HttpResponse post_silence(const HttpRequest& request) const;
  HttpResponse silence(const HttpRequest& request, const std::string& id) const;
  HttpResponse delete_silence(const HttpRequest& request, const std::string& id) const;

  /// `{"status":"success","data":{"notifications":[...]}}`: queued, delivered, dead; `limit`. With
  /// `"forgotten":true` where older ones that were delivered are no longer known.
  HttpResponse notifications(const HttpRequest& request) const;
  /// Queues dead letters again: `id`, or all of them.
  HttpResponse replay(const HttpRequest& request) const;

 private:
  Notifier& notifier_;
  const NotifierVersion version_;
};

}  // namespace tarsier::alerting
