#include "alerting/alertmanager_sender.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "alerting/alert_queue.h"
#include "alerting/alertmanager_queue_file.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "base/summary_metric.h"

namespace tarsier::alerting {
namespace {

constexpr std::string_view kQueueSuffix = ".queue";
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 30;
/// A queue that grows during an outage is written anew at most this often: what is younger is told
/// again by the rules after a restart.
constexpr Duration kKeepInterval = seconds(5);

/// Whether sending the same again could ever help.
bool is_worth_retrying(int status) {
  return status >= 500 || status == 408 || status == 425 || status == 429;
}

void write_pairs(JsonWriter& json, std::string_view name, const auto& pairs) {
  json.key(name).begin_object();
  for (const auto& [key, value] : pairs) json.field(key, value);
  json.end_object();
}

}  // namespace

std::string alertmanager_body(const std::vector<Alert>& alerts) {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const Alert& alert : alerts) {
    json.begin_object();
    write_pairs(json, "labels", alert.labels);
    write_pairs(json, "annotations", alert.annotations);
    json.field("startsAt", format_rfc3339_ms(alert.starts_at));
    json.field("endsAt", format_rfc3339_ms(alert.ends_at));
    if (!alert.generator_url.empty()) json.field("generatorURL", alert.generator_url);
    json.end_object();
  }
  json.end_array();
  return out;
}

struct AlertmanagerSender::Queue {
  Queue(std::string u, std::size_t capacity) : url(std::move(u)), waiting(capacity) {}

  const std::string url;
  AlertmanagerTarget target;  ///< Under the sender's lock: a reload may change all but the URL.
  // All of these: under the sender's lock.
  AlertQueue waiting;
  bool is_sending = false;
  int failures = 0;         ///< In a row.
  bool has_failed = false;  ///< Since `run_due` last looked.
  Timestamp next_attempt{0};
  Timestamp next_keep{0};
  std::uint64_t kept_number =
      0;  ///< Last in `waiting` when the file was written; 0: there is none.
  std::vector<double> latencies;  ///< Since `run_due` last looked.

  SummaryMetric latency_seconds;
  std::uint64_t sent = 0;
  std::uint64_t errors = 0;
  std::uint64_t dropped = 0;
};

AlertmanagerSender::AlertmanagerSender(AlertmanagerOptions options, Doors doors)
    : options_(options),
      doors_(std::move(doors)),
      settings_(std::make_shared<const AlertmanagerSettings>()),
      outcomes_(options.outcomes_max) {
  // What a crash left of a file that was being written.
  const Result<std::vector<DirectoryEntry>> entries = doors_.files.list(doors_.directory);
  if (!entries.ok()) return;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.is_directory || entry.name.ends_with(kQueueSuffix)) continue;
    static_cast<void>(doors_.files.remove_file(join_path(doors_.directory, entry.name)));
  }
}

AlertmanagerSender::~AlertmanagerSender() {
  MutexLock lock(mutex_);
  while (in_flight_ > 0) finished_.wait(mutex_);
}

std::string AlertmanagerSender::path_of(const std::string& url) const {
  const Fingerprint name = fingerprint_of({{"url", url}});
  return join_path(doors_.directory, name.to_string() + std::string(kQueueSuffix));
}

void AlertmanagerSender::apply(AlertmanagerSettings settings) {
  std::map<std::string, QueuePtr> next;
  std::map<std::string, QueuePtr> former;
  {
    MutexLock lock(mutex_);
    former = queues_;
  }
  for (const AlertmanagerTarget& target : settings.targets) {
    if (next.contains(target.url)) continue;
    const auto known = former.find(target.url);
    if (known != former.end()) {
      next.insert(*known);
      continue;
    }
    auto queue = std::make_shared<Queue>(target.url, options_.queue_capacity);
    const Result<std::string> text = read_file(doors_.files, path_of(target.url), kFileBytesMax);
    if (text.ok()) {
      Result<std::vector<Alert>> left = decode_queue(as_bytes(*text));
      if (left.ok()) {
        MutexLock lock(mutex_);
        for (const Alert& alert : *left) add(*queue, alert);
        queue->kept_number = queue->waiting.last_number();
      } else {
        doors_.log.warn("What was left for an Alertmanager cannot be read",
                        {{"alertmanager", target.url}, {"err", left.status().message()}});
      }
    }
    next.emplace(target.url, std::move(queue));
  }
  MutexLock lock(mutex_);
  std::set<std::string> seen;
  for (const AlertmanagerTarget& target : settings.targets) {
    if (seen.insert(target.url).second) next.at(target.url)->target = target;
  }
  queues_ = std::move(next);
  settings_ = std::make_shared<const AlertmanagerSettings>(std::move(settings));
}

bool AlertmanagerSender::add(Queue& queue, const Alert& alert) {
  if (queue.waiting.add(alert)) return true;
  ++queue.dropped;
  return false;
}

Status AlertmanagerSender::deliver(const AlertBatch& batch) {
  std::shared_ptr<const AlertmanagerSettings> settings;
  std::vector<QueuePtr> queues;
  {
    MutexLock lock(mutex_);
    settings = settings_;
    for (const auto& [url, queue] : queues_) queues.push_back(queue);
  }
  if (queues.empty()) return {};
  std::vector<Alert> noted = batch.alerts;
  for (Alert& alert : noted) alert.origin = alert.fingerprint();
  const std::vector<Alert> common = labelled(noted, settings->labelling);
  for (const QueuePtr& queue : queues) {
    AlertRelabel relabel;
    {
      MutexLock lock(mutex_);
      relabel = queue->target.relabel;
    }
    std::vector<Alert> own = common;
    relabel_alerts(own, relabel);
    std::uint64_t dropped = 0;
    {
      MutexLock lock(mutex_);
      for (const Alert& alert : own) dropped += add(*queue, alert) ? 0 : 1;
    }
    if (dropped > 0) {
      doors_.log.error("The queue of an Alertmanager is full; its oldest alerts were dropped",
                       {{"alertmanager", queue->url}, {"count", std::to_string(dropped)}});
    }
  }
  if (doors_.wake) doors_.wake();
  return {};
}

Timestamp AlertmanagerSender::run_due(Timestamp now) {
  Timestamp next = kNever;
  std::vector<QueuePtr> starts;
  std::vector<std::pair<std::string, std::vector<Alert>>> keeps;
  {
    MutexLock lock(mutex_);
    for (const auto& [url, queue] : queues_) {
      for (const double seconds : std::exchange(queue->latencies, {})) {
        queue->latency_seconds.observe(seconds, now);
      }
      if (std::exchange(queue->has_failed, false)) {
        const std::int64_t doubled = options_.retry_min.ms << std::min(queue->failures - 1, 20);
        queue->next_attempt = now + std::min(options_.retry_max, Duration{doubled});
      }
      const bool is_waiting = queue->failures > 0 && !queue->waiting.empty();
      if (is_waiting && queue->kept_number != queue->waiting.last_number()) {
        if (queue->next_keep <= now) {
          keeps.emplace_back(path_of(url), queue->waiting.alerts());
          queue->kept_number = queue->waiting.last_number();
          queue->next_keep = now + kKeepInterval;
        } else {
          next = std::min(next, queue->next_keep);
        }
      } else if (queue->kept_number > 0 && queue->waiting.empty()) {
        keeps.emplace_back(path_of(url), std::vector<Alert>());
        queue->kept_number = 0;
      }
      if (queue->is_sending || queue->waiting.empty() || is_stopping_) continue;
      if (queue->next_attempt > now) {
        next = std::min(next, queue->next_attempt);
        continue;
      }
      queue->is_sending = true;
      ++in_flight_;
      starts.push_back(queue);
    }
  }
  for (const auto& [path, alerts] : keeps) keep(path, alerts);
  for (const QueuePtr& queue : starts) start_request(queue, now);
  return next;
}

void AlertmanagerSender::start_request(const QueuePtr& queue, Timestamp now) {
  Sending sending;
  std::vector<Alert> alerts;
  HttpFetch request;
  {
    MutexLock lock(mutex_);
    for (AlertQueue::Entry& entry : queue->waiting.oldest(options_.batch_size_max)) {
      sending.numbers.push_back(entry.number);
      sending.outcomes.push_back({.at = now,
                                  .url = queue->url,
                                  .origin = entry.alert.origin,
                                  .starts_at = entry.alert.starts_at,
                                  .is_resolved = entry.alert.state == AlertState::kInactive});
      alerts.push_back(std::move(entry.alert));
    }
    const AlertmanagerTarget& target = queue->target;
    request.url = target.url;
    request.timeout = target.timeout;
    request.config = target.client;
    request.follow_redirects = target.client && target.client->follow_redirects;
  }
  request.method = "POST";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = alertmanager_body(alerts);
  sending.begin_ns = doors_.monotonic_ns();
  doors_.client.fetch(std::move(request), [this, queue, sending = std::move(sending)](
                                              const Result<HttpResponse>& answer) mutable {
    finish_request(queue, std::move(sending), answer);
  });
}

void AlertmanagerSender::finish_request(const QueuePtr& queue, Sending sending,
                                        const Result<HttpResponse>& answer) {
  const std::vector<std::uint64_t>& numbers = sending.numbers;
  const double seconds = static_cast<double>(doors_.monotonic_ns() - sending.begin_ns) / 1e9;
  const bool is_taken = answer.ok() && answer->status / 100 == 2;
  const bool is_refused = answer.ok() && !is_taken && !is_worth_retrying(answer->status);
  std::string problem;
  if (!answer.ok()) {
    problem = answer.status().message();
  } else if (!is_taken) {
    problem = fmt::format("bad response status {} {}: {}", answer->status,
                          http_reason_phrase(answer->status), answer->body.substr(0, 500));
  }
  const std::string& url = queue->url;
  bool is_news = false;
  {
    MutexLock lock(mutex_);
    queue->latencies.push_back(seconds);
    for (SentOutcome& outcome : sending.outcomes) {
      if (outcome.origin.value == 0) continue;  // Of an earlier process.
      outcome.status = answer.ok() ? answer->status : 0;
      outcome.problem = problem;
      outcome.is_retried = !is_taken && !is_refused;
      outcomes_.add(std::move(outcome));
    }
    if (is_taken || is_refused) queue->waiting.remove(numbers);
    if (is_taken) {
      queue->sent += numbers.size();
      queue->failures = 0;
      queue->next_attempt = {0};
    } else {
      queue->errors += numbers.size();
      if (is_refused) queue->dropped += numbers.size();
      if (!is_refused) {
        is_news = queue->failures++ == 0;
        queue->has_failed = true;
      }
    }
  }
  if (is_refused) {
    doors_.log.error("An Alertmanager refuses alerts", {{"alertmanager", url}, {"err", problem}});
  } else if (is_news) {
    doors_.log.error("Sending alerts failed; they are kept and tried again",
                     {{"alertmanager", url}, {"err", problem}});
  }
  if (doors_.wake) doors_.wake();
  MutexLock lock(mutex_);
  queue->is_sending = false;
  --in_flight_;
  finished_.notify_all();
}

void AlertmanagerSender::keep(const std::string& path, const std::vector<Alert>& alerts) {
  Status status;
  if (alerts.empty()) {
    status = doors_.files.remove_file(path);
    if (status.code() == Code::kNotFound) status = {};
  } else {
    status = doors_.files.create_directories(doors_.directory);
    if (status.ok()) status = write_file_atomically(doors_.files, path, encode_queue(alerts));
  }
  if (!status.ok()) {
    doors_.log.error("Alerts for an Alertmanager cannot be kept on disk",
                     {{"file", path}, {"err", status.message()}});
  }
}

void AlertmanagerSender::stop(Timestamp now) {
  const std::int64_t begin_ns = doors_.monotonic_ns();
  while (options_.drains_on_stop) {
    run_due(now);
    MutexLock lock(mutex_);
    const std::int64_t left_ms =
        options_.drain_timeout.ms - (doors_.monotonic_ns() - begin_ns) / 1'000'000;
    const bool is_done = std::all_of(queues_.begin(), queues_.end(), [](const auto& entry) {
      return entry.second->waiting.empty() || entry.second->failures > 0;
    });
    if (is_done || left_ms <= 0) break;
    if (in_flight_ > 0) finished_.wait_for_ms(mutex_, static_cast<long>(left_ms));
  }
  std::vector<std::pair<std::string, std::vector<Alert>>> keeps;
  {
    MutexLock lock(mutex_);
    is_stopping_ = true;
    for (const auto& [url, queue] : queues_) {
      if (queue->waiting.empty() && queue->kept_number == 0) continue;
      keeps.emplace_back(path_of(url), queue->waiting.alerts());
    }
  }
  for (const auto& [path, alerts] : keeps) keep(path, alerts);
}

std::vector<std::string> AlertmanagerSender::active_urls() const {
  MutexLock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [url, queue] : queues_) out.push_back(url);
  return out;
}

std::vector<SentOutcome> AlertmanagerSender::outcomes(Fingerprint origin) const {
  MutexLock lock(mutex_);
  return outcomes_.find(origin);
}

std::vector<std::string> AlertmanagerSender::dropped_urls() const {
  MutexLock lock(mutex_);
  return settings_->dropped_urls;
}

void AlertmanagerSender::collect(MetricWriter& out, Timestamp now) const {
  struct Numbers {
    std::string url;
    double sent, errors, dropped, length;
  };
  std::vector<Numbers> all;
  std::vector<QueuePtr> queues;
  {
    MutexLock lock(mutex_);
    for (const auto& [url, queue] : queues_) {
      queues.push_back(queue);
      all.push_back({url, static_cast<double>(queue->sent), static_cast<double>(queue->errors),
                     static_cast<double>(queue->dropped),
                     static_cast<double>(queue->waiting.size())});
    }
  }
  const auto counter = [&](std::string_view name, std::string_view help, double Numbers::* value) {
    for (const Numbers& n : all) out.counter(name, help, n.*value, {{"alertmanager", n.url}});
  };
  counter("prometheus_notifications_sent_total", "Total number of alerts sent.", &Numbers::sent);
  counter("prometheus_notifications_errors_total",
          "Total number of sent alerts affected by errors.", &Numbers::errors);
  counter("prometheus_notifications_dropped_total",
          "Total number of alerts dropped: refused by Alertmanager, or pushed out of a full queue.",
          &Numbers::dropped);
  for (const Numbers& n : all) {
    out.gauge("prometheus_notifications_queue_length",
              "The number of alert notifications in the queue.", n.length,
              {{"alertmanager", n.url}});
  }
  for (std::size_t i = 0; i < queues.size(); ++i) {
    out.summary("prometheus_notifications_latency_seconds",
                "Latency quantiles for sending alert notifications.", queues[i]->latency_seconds,
                {0.5, 0.9, 0.99}, now, {{"alertmanager", all[i].url}});
  }
  out.gauge("prometheus_notifications_queue_capacity",
            "The capacity of the alert notifications queue.",
            static_cast<double>(options_.queue_capacity));
  out.gauge("prometheus_notifications_alertmanagers_discovered",
            "The number of alertmanagers discovered and active.", static_cast<double>(all.size()));
}

}  // namespace tarsier::alerting
