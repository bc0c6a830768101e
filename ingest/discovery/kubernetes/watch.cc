#include "ingest/discovery/kubernetes/watch.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/json_reader.h"
#include "base/percent_encoding.h"

namespace tarsier::ingest {
namespace {

constexpr int kGone = 410;

/// Below the server's address.
std::string path_of(const KubeResource& resource) {
  struct Place {
    std::string_view group;
    std::string_view name;
  };
  const Place place = [&]() -> Place {
    switch (resource.kind) {
      case KubeKind::kNode: return {"/api/v1", "nodes"};
      case KubeKind::kService: return {"/api/v1", "services"};
      case KubeKind::kPod: return {"/api/v1", "pods"};
      case KubeKind::kEndpoints: return {"/api/v1", "endpoints"};
      case KubeKind::kEndpointSlice: return {"/apis/discovery.k8s.io/v1", "endpointslices"};
      case KubeKind::kIngress: return {"/apis/networking.k8s.io/v1", "ingresses"};
      case KubeKind::kNamespace: return {"/api/v1", "namespaces"};
      case KubeKind::kReplicaSet: return {"/apis/apps/v1", "replicasets"};
      case KubeKind::kJob: return {"/apis/batch/v1", "jobs"};
    }
    return {};
  }();
  if (resource.name_space.empty()) return fmt::format("{}/{}", place.group, place.name);
  return fmt::format("{}/namespaces/{}/{}", place.group, percent_encoded(resource.name_space),
                     place.name);
}

Status refusal(int status, const std::string& body) {
  const Result<JsonValue> json = parse_json(body);
  const std::string message = json.ok() ? kube_text(*json, "message") : std::string();
  return unavailable(fmt::format("server returned HTTP status {} {}{}{}", status,
                                 http_reason_phrase(status), message.empty() ? "" : ": ", message));
}

int code_of(const JsonValue& status) {
  const JsonValue* const code = status.find("code");
  return code ? static_cast<int>(code->as_int64().ok() ? *code->as_int64() : 0) : 0;
}

}  // namespace

/// An event of a watch, or an object of a list.
struct KubeWatch::Event {
  bool is_removal = false;
  std::optional<KubeObject> object;  ///< Nothing: only the version moved.
  std::string version;
};

/// What answers leave for run_due().
struct KubeWatch::Inbox {
  mutable Mutex mutex;
  std::vector<Event> events GUARDED_BY(mutex);
  std::size_t bytes GUARDED_BY(mutex) = 0;
  std::string partial GUARDED_BY(mutex);  // The beginning of an event.
  // Of the request that ended.
  bool has_ended GUARDED_BY(mutex) = false;
  bool is_gone GUARDED_BY(mutex) = false;
  Status outcome GUARDED_BY(mutex);
  std::string next_page GUARDED_BY(mutex);
  std::string version GUARDED_BY(mutex);

  void begin() {
    const MutexLock lock(mutex);
    has_ended = is_gone = false;
    outcome = Status();
    partial.clear();
    next_page.clear();
    version.clear();
  }
  bool take_page(KubeKind kind, const std::string& body, std::size_t values_max);
  bool take_piece(KubeKind kind, std::string_view piece, const KubeWatchOptions& options);
  bool take_line(KubeKind kind, std::string_view line) REQUIRES_LOCK(mutex);
  void end(Status status, bool gone) {
    const MutexLock lock(mutex);
    has_ended = true;
    is_gone = is_gone || gone;
    if (outcome.ok()) outcome = std::move(status);
  }
};

/// Reads outside the lock: a page is large.
bool KubeWatch::Inbox::take_page(KubeKind kind, const std::string& body, std::size_t values_max) {
  const Result<JsonValue> json = parse_json(body, {.depth_max = 64, .value_count_max = values_max});
  if (!json.ok()) {
    end(json.status(), false);
    return false;
  }
  std::vector<Event> found;
  std::size_t found_bytes = 0;
  if (const JsonValue* const items = json->find("items")) {
    for (const JsonValue& item : items->items()) {
      Result<KubeObject> object = parse_kube_object(kind, item);
      if (!object.ok()) continue;
      found_bytes += object->byte_count();
      found.push_back({.is_removal = false, .object = std::move(*object), .version = {}});
    }
  }
  const MutexLock lock(mutex);
  std::move(found.begin(), found.end(), std::back_inserter(events));
  bytes += found_bytes;
  next_page = kube_text(*json, "metadata.continue");
  version = kube_text(*json, "metadata.resourceVersion");
  return true;
}

/// One line of a watch. False ends the watch.
bool KubeWatch::Inbox::take_line(KubeKind kind, std::string_view line) {
  if (line.find_first_not_of(" \r\t") == std::string_view::npos) return true;
  const Result<JsonValue> json = parse_json(line);
  const JsonValue* const object = json.ok() ? json->find("object") : nullptr;
  if (!object) {
    outcome = corruption("an event of a watch cannot be read");
    return false;
  }
  const std::string type = kube_text(*json, "type");
  if (type == "ERROR") {
    is_gone = code_of(*object) == kGone;
    outcome = unavailable(fmt::format("watch: {}", kube_text(*object, "message")));
    return false;
  }
  Event event;
  event.version = kube_text(*object, "metadata.resourceVersion");
  if (type == "ADDED" || type == "MODIFIED" || type == "DELETED") {
    Result<KubeObject> parsed = parse_kube_object(kind, *object);
    if (!parsed.ok()) return true;
    event.is_removal = type == "DELETED";
    bytes += parsed->byte_count();
    event.object = std::move(*parsed);
  } else if (type != "BOOKMARK") {
    return true;
  }
  events.push_back(std::move(event));
  return true;
}

bool KubeWatch::Inbox::take_piece(KubeKind kind, std::string_view piece,
                                  const KubeWatchOptions& options) {
  const MutexLock lock(mutex);
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    partial.append(piece.substr(0, end));
    piece.remove_prefix(std::min(end == std::string_view::npos ? end : end + 1, piece.size()));
    if (partial.size() > options.event_bytes_max) {
      outcome = limit_exceeded(fmt::format("an event exceeds {} bytes", options.event_bytes_max));
      return false;
    }
    if (end == std::string_view::npos) break;
    const std::string line = std::exchange(partial, {});
    if (!take_line(kind, line)) return false;
    if (bytes > options.waiting_bytes_max) {
      outcome = limit_exceeded("a watch is ahead of who reads it");
      return false;
    }
  }
  return true;
}

KubeWatch::KubeWatch(Doors doors, KubeWatchOptions options, KubeResource resource)
    : doors_(std::move(doors)),
      options_(options),
      resource_(std::move(resource)),
      inbox_(std::make_shared<Inbox>()) {}

KubeWatch::~KubeWatch() { cancel_->cancel(); }

bool KubeWatch::has_news() const {
  const MutexLock lock(inbox_->mutex);
  return inbox_->has_ended || !inbox_->events.empty();
}

HttpFetch KubeWatch::fetch_for(const KubeAccess& access, const std::string& parameters) const {
  HttpFetch fetch;
  fetch.url = access.server + path_of(resource_) + "?" + parameters;
  if (!resource_.label_selector.empty()) {
    fetch.url += "&labelSelector=" + percent_encoded(resource_.label_selector);
  }
  if (!resource_.field_selector.empty()) {
    fetch.url += "&fieldSelector=" + percent_encoded(resource_.field_selector);
  }
  fetch.headers = {{"Accept", "application/json"}, {"User-Agent", doors_.user_agent}};
  fetch.config = access.http;
  fetch.follow_redirects = access.http->follow_redirects;
  fetch.cancel = cancel_;
  return fetch;
}

void KubeWatch::list(const KubeAccess& access, const std::string& page) {
  phase_ = Phase::kListing;
  if (page.empty()) listed_.clear();
  inbox_->begin();
  std::string parameters = fmt::format("limit={}", options_.page_size);
  if (!page.empty()) parameters += "&continue=" + percent_encoded(page);
  HttpFetch fetch = fetch_for(access, parameters);
  fetch.headers.emplace_back("Accept-Encoding", "gzip");
  fetch.timeout = options_.list_timeout;
  fetch.body_size_max = options_.page_bytes_max;
  doors_.client.fetch(std::move(fetch), [inbox = inbox_, kind = resource_.kind, wake = doors_.wake,
                                         values_max = options_.page_values_max](
                                            const Result<HttpResponse>& answer) {
    if (!answer.ok()) {
      inbox->end(answer.status(), false);
    } else if (answer->status != 200) {
      inbox->end(refusal(answer->status, answer->body), answer->status == kGone);
    } else if (inbox->take_page(kind, answer->body, values_max)) {
      inbox->end({}, false);
    }
    if (wake) wake();
  });
}

void KubeWatch::watch(const KubeAccess& access) {
  phase_ = Phase::kWatching;
  inbox_->begin();
  HttpFetch fetch = fetch_for(
      access,
      fmt::format("watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
                  percent_encoded(version_), options_.watch_time.ms / 1000));
  // A server that does not keep its promise to end it is as good as gone.
  fetch.timeout = options_.watch_time + seconds(30);
  fetch.on_piece = [inbox = inbox_, kind = resource_.kind, wake = doors_.wake,
                    options = options_](std::string_view piece) {
    const bool goes_on = inbox->take_piece(kind, piece, options);
    if (wake) wake();
    return goes_on;
  };
  doors_.client.fetch(
      std::move(fetch), [inbox = inbox_, wake = doors_.wake](const Result<HttpResponse>& answer) {
        if (!answer.ok()) {
          inbox->end(answer.status(), false);
        } else if (answer->status != 200) {
          inbox->end(refusal(answer->status, answer->body), answer->status == kGone);
        } else {
          inbox->end({}, false);
        }
        if (wake) wake();
      });
}

std::vector<KubeChange> KubeWatch::take() {
  std::vector<Event> events;
  {
    const MutexLock lock(inbox_->mutex);
    events = std::exchange(inbox_->events, {});
    inbox_->bytes = 0;
  }
  for (Event& event : events) {
    if (!event.version.empty()) version_ = std::move(event.version);
    if (phase_ == Phase::kWatching) failures_in_a_row_ = 0;
    last_error_.clear();
    if (!event.object) continue;
    if (known_.size() >= options_.objects_max && !known_.contains(event.object->key())) continue;
    KubeChange change{.id = {resource_.kind, event.object->key()}, .object = {}};
    if (phase_ == Phase::kListing) listed_.insert(change.id.second);
    if (event.is_removal) {
      known_.erase(change.id.second);
    } else {
      known_.insert(change.id.second);
      change.object = std::move(event.object);
    }
    changes_.push_back(std::move(change));
  }
  return std::exchange(changes_, {});
}

/// A page came. REQUIRES: its objects were taken.
Status KubeWatch::on_page() {
  const MutexLock lock(inbox_->mutex);
  next_page_ = std::exchange(inbox_->next_page, {});
  if (!next_page_.empty()) return {};
  for (const std::string& key : known_) {
    if (!listed_.contains(key)) changes_.push_back({.id = {resource_.kind, key}, .object = {}});
  }
  known_ = std::exchange(listed_, {});
  version_ = std::exchange(inbox_->version, {});
  is_synced_ = true;
  return version_.empty() ? corruption("a list has no resourceVersion") : Status();
}

void KubeWatch::fail(const Status& why) {
  ++failure_count_;
  last_error_ = path_of(resource_) + ": " + why.message();
  doors_.log.error(
      "Kubernetes cannot be asked",
      {{"discovery", "kubernetes"}, {"resource", path_of(resource_)}, {"err", why.message()}});
}

/// Longer each time until a watch brings something.
void KubeWatch::pause(Timestamp now) {
  phase_ = Phase::kPausing;
  next_page_.clear();
  Duration wait = options_.retry_min;
  for (int i = 0; i < failures_in_a_row_ && wait < options_.retry_max; ++i) wait = wait + wait;
  ++failures_in_a_row_;
  due_ = now + std::min(wait, options_.retry_max);
}

/// The request ended. REQUIRES: all events before its end were taken.
void KubeWatch::on_end(Timestamp now) {
  Status outcome;
  bool is_gone = false;
  {
    const MutexLock lock(inbox_->mutex);
    inbox_->has_ended = false;
    outcome = inbox_->outcome;
    is_gone = inbox_->is_gone;
  }
  if (is_gone) {
    version_.clear();  // No fault of anybody: we were away for too long.
    return pause(now);
  }
  const bool is_page = phase_ == Phase::kListing;
  if (outcome.ok()) last_error_.clear();
  if (outcome.ok() && is_page) outcome = on_page();
  if (!outcome.ok()) {
    fail(outcome);
    return pause(now);
  }
  if (!is_page) {
    failures_in_a_row_ = 0;
    return pause(now);  // A watch that ended is resumed, but never in a tight loop.
  }
  phase_ = Phase::kPausing;
  due_ = now;
}

Timestamp KubeWatch::run_due(Timestamp now, const KubeAccess& access) {
  if (phase_ != Phase::kPausing) {
    const bool has_ended = [&] {
      const MutexLock lock(inbox_->mutex);
      return inbox_->has_ended && inbox_->events.empty();
    }();
    if (!has_ended) return kNever;
    on_end(now);
  }
  if (now < due_) return due_;
  if (!next_page_.empty()) {
    list(access, next_page_);
  } else if (version_.empty()) {
    list(access, {});
  } else {
    watch(access);
  }
  return kNever;
}

}  // namespace tarsier::ingest
