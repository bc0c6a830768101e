#include "ingest/forwarder.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ingest/forwarder/destination.h"
#include "ingest/target.h"

namespace tarsier::ingest {
namespace {

/// What names of followers begin with that are ours.
constexpr std::string_view kFollowerPrefix = "remote_write-";
constexpr Duration kOpenRetry = seconds(5);

std::string follower_name(const std::string& key) {
  return fmt::format("{}{:016x}", kFollowerPrefix, fnv1a(key));
}

std::string identity_of(const ForwardConfig& config) {
  std::string out = config.url;
  for (const RelabelRule& rule : config.write_relabel_rules) {
    const RelabelConfig& c = rule.config();
    out += fmt::format("|{}|{}|{}|{}|{}|{}", c.action, c.regex, c.separator, c.target_label,
                       c.replacement, c.modulus);
    for (const std::string& label : c.source_labels) out += "|" + label;
  }
  return out;
}

}  // namespace

std::string forward_key(const ForwardConfig& config) {
  if (!config.name.empty()) return config.name;
  return fmt::format("{:06x}", fnv1a(identity_of(config)) & 0xFFFFFF);
}

Forwarder::Forwarder(ForwardDoor door) : door_(std::move(door)) {}
Forwarder::~Forwarder() = default;

void Forwarder::apply(std::vector<ForwardConfig> configs, const tsdb::Labels& external_labels) {
  {
    const MutexLock lock(mutex_);
    wanted_ = std::make_unique<Wanted>(Wanted{std::move(configs), external_labels});
  }
  if (door_.wake) door_.wake();
}

void Forwarder::take_wanted() {
  std::unique_ptr<Wanted> wanted;
  {
    const MutexLock lock(mutex_);
    wanted = std::move(wanted_);
  }
  if (!wanted) return;
  for (auto& [key, slot] : slots_) slot.wanted = nullptr;
  for (ForwardConfig& config : wanted->configs) {
    Slot& slot = slots_[forward_key(config)];
    slot.external_labels = wanted->external_labels;
    slot.wanted = std::make_shared<const ForwardConfig>(std::move(config));
  }
  has_forgotten_ = false;
}

/// Positions of destinations that nobody names any more.
void Forwarder::forget_strangers() {
  if (std::exchange(has_forgotten_, true)) return;
  std::set<std::string> ours;
  for (const auto& [key, slot] : slots_) ours.insert(follower_name(key));
  const Result<std::vector<std::string>> stored = door_.stored_followers();
  if (!stored.ok()) return;  // They do no harm.
  for (const std::string& name : *stored) {
    if (!name.starts_with(kFollowerPrefix) || ours.contains(name)) continue;
    if (const Status gone = door_.forget_follower(name); !gone.ok()) {
      door_.log.warn("A position of remote write cannot be removed",
                     {{"name", name}, {"err", gone.message()}});
    }
  }
}

Timestamp Forwarder::run_slot(const std::string& key, Slot& slot, Timestamp now) {
  if (slot.current) {
    const bool stays = slot.wanted && !is_stopping_ && slot.current->config() == *slot.wanted &&
                       slot.current->external_labels() == slot.external_labels;
    if (stays) return slot.current->run_due(now);
    slot.current->retire();
    const Timestamp next = slot.current->run_due(now);
    if (!slot.current->is_idle()) return next;
    if (const Status stored = slot.current->store_position(); !stored.ok()) {
      door_.log.error("Storing the position of remote write failed",
                      {{"name", key}, {"err", stored.message()}});
    }
    slot.current.reset();
    const MutexLock lock(mutex_);
    std::erase_if(published_, [&](const auto& entry) { return entry.first == key; });
  }
  if (!slot.wanted || is_stopping_ || slot.retry_at > now)
    return slot.retry_at > now ? slot.retry_at : now;
  tsdb::FollowerOptions options;
  options.name = follower_name(key);
  Result<std::unique_ptr<tsdb::WalFollower>> follower = door_.follow(std::move(options));
  if (!follower.ok()) {
    door_.log.error("Remote write cannot begin",
                    {{"url", slot.wanted->url}, {"err", follower.status().message()}});
    slot.retry_at = now + kOpenRetry;
    return slot.retry_at;
  }
  slot.current = std::make_shared<ForwardDestination>(*slot.wanted, slot.external_labels,
                                                      std::move(*follower), door_);
  {
    const MutexLock lock(mutex_);
    published_.emplace_back(key, slot.current);
    std::sort(published_.begin(), published_.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  return now;
}

Timestamp Forwarder::run_due(Timestamp now) {
  take_wanted();
  Timestamp next = kNever;
  for (auto& [key, slot] : slots_) {
    const Timestamp due = run_slot(key, slot, now);
    if (slot.current || (slot.wanted && !is_stopping_)) next = std::min(next, due);
  }
  std::erase_if(slots_,
                [](const auto& entry) { return !entry.second.current && !entry.second.wanted; });
  if (!is_stopping_) forget_strangers();
  return next;
}

void Forwarder::begin_stop() { is_stopping_ = true; }

bool Forwarder::is_idle() const {
  return std::all_of(slots_.begin(), slots_.end(),
                     [](const auto& entry) { return entry.second.current == nullptr; });
}

void Forwarder::collect(MetricWriter& out) const {
  std::vector<std::pair<std::string, std::shared_ptr<ForwardDestination>>> all;
  {
    const MutexLock lock(mutex_);
    all = published_;
  }
  if (all.empty()) return;
  const Timestamp newest = door_.newest();
  out.gauge(
      "prometheus_remote_storage_highest_timestamp_in_seconds",
      "Highest timestamp that has come into the remote storage via the Appender interface, in "
      "seconds since epoch.",
      newest == kMinTimestamp ? 0 : std::floor(static_cast<double>(newest.ms) / 1000));
  using Value = std::function<double(const ForwardDestination&)>;
  const auto each = [&](bool is_counter, std::string_view name, std::string_view help,
                        const Value& value) {
    for (const auto& [key, one] : all) {
      const MetricLabels labels = {{"remote_name", key}, {"url", one->config().url}};
      is_counter ? out.counter(name, help, value(*one), labels)
                 : out.gauge(name, help, value(*one), labels);
    }
  };
  const auto number = [](const Counter& counter) { return static_cast<double>(counter.value()); };
  struct Family {
    std::string_view plural;
    ForwardMetrics::Kind ForwardMetrics::* kind;
  };
  for (const Family& family : {Family{"samples", &ForwardMetrics::samples},
                               Family{"histograms", &ForwardMetrics::histograms},
                               Family{"exemplars", &ForwardMetrics::exemplars}}) {
    const auto count = [&](std::string_view what, std::string_view help,
                           Counter ForwardMetrics::Kind::* counter) {
      each(true, fmt::format("prometheus_remote_storage_{}{}_total", family.plural, what), help,
           [&](const ForwardDestination& d) { return number(d.metrics().*family.kind.*counter); });
    };
    count("", "Total number sent to remote storage.", &ForwardMetrics::Kind::sent);
    count("_failed", "Total number which failed on send to remote storage, non-recoverable errors.",
          &ForwardMetrics::Kind::failed);
    count("_retried", "Total number which failed on send but were retried.",
          &ForwardMetrics::Kind::retried);
    const std::string dropped =
        fmt::format("prometheus_remote_storage_{}_dropped_total", family.plural);
    for (const auto& [key, one] : all) {
      const ForwardMetrics::Kind& kind = one->metrics().*family.kind;
      for (const auto& [reason, counter] :
           {std::pair<std::string_view, const Counter*>{"dropped_series", &kind.dropped_relabelled},
            {"too_old", &kind.dropped_too_old}}) {
        out.counter(dropped,
                    "Total number which were dropped after being read from the WAL before being "
                    "sent, by relabelling or age.",
                    number(*counter),
                    {{"remote_name", key}, {"url", one->config().url}, {"reason", reason}});
      }
    }
  }
  const auto counter = [&](std::string_view name, std::string_view help,
                           Counter ForwardMetrics::* member) {
    each(true, name, help,
         [&](const ForwardDestination& d) { return number(d.metrics().*member); });
  };
  const auto gauge = [&](std::string_view name, std::string_view help,
                         Gauge ForwardMetrics::* member) {
    each(false, name, help,
         [&](const ForwardDestination& d) { return (d.metrics().*member).value(); });
  };
  counter("prometheus_remote_storage_metadata_total",
          "Total number of metadata entries sent to remote storage.", &ForwardMetrics::metadata);
  counter("prometheus_remote_storage_metadata_failed_total",
          "Total number of metadata entries which failed on send.",
          &ForwardMetrics::metadata_failed);
  counter("prometheus_remote_storage_bytes_total",
          "The total number of bytes of data (not metadata) sent by the queue after compression.",
          &ForwardMetrics::bytes);
  counter("prometheus_remote_storage_metadata_bytes_total",
          "The total number of bytes of metadata sent by the queue after compression.",
          &ForwardMetrics::metadata_bytes);
  counter("prometheus_remote_storage_enqueue_retries_total",
          "Total number of times enqueue has failed because a shard's queue was full.",
          &ForwardMetrics::enqueue_retries);
  gauge("prometheus_remote_storage_samples_pending",
        "The number of samples pending in the queues shards to be sent to the remote storage.",
        &ForwardMetrics::pending);
  gauge("prometheus_remote_storage_queue_highest_timestamp_seconds",
        "Timestamp from a WAL sample, the highest timestamp handled by this queue, in seconds "
        "since epoch.",
        &ForwardMetrics::highest_read_seconds);
  gauge("prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
        "Timestamp from a WAL sample, the highest timestamp successfully sent by this queue, in "
        "seconds since epoch.",
        &ForwardMetrics::highest_sent_seconds);
  gauge("prometheus_remote_storage_shards",
        "The number of shards used for parallel sending to the remote storage.",
        &ForwardMetrics::shards);
  gauge("prometheus_remote_storage_shards_desired",
        "The number of shards that the queues shard calculation wants to run.",
        &ForwardMetrics::shards_desired);
  const auto setting = [&](std::string_view name, std::string_view help,
                           std::uint64_t ForwardQueueConfig::* member) {
    each(false, name, help, [&](const ForwardDestination& d) {
      return static_cast<double>(d.config().queue.*member);
    });
  };
  setting("prometheus_remote_storage_shards_max", "The maximum number of shards.",
          &ForwardQueueConfig::max_shards);
  setting("prometheus_remote_storage_shards_min", "The minimum number of shards.",
          &ForwardQueueConfig::min_shards);
  setting("prometheus_remote_storage_shard_capacity", "The capacity of each shard of the queue.",
          &ForwardQueueConfig::capacity);
  setting("prometheus_remote_storage_max_samples_per_send",
          "The maximum number of samples to be sent, in a single request.",
          &ForwardQueueConfig::max_samples_per_send);
  for (const auto& [key, one] : all) {
    out.histogram("prometheus_remote_storage_sent_batch_duration_seconds",
                  "Duration of send calls to the remote storage.", one->metrics().batch_seconds,
                  {{"remote_name", key}, {"url", one->config().url}});
  }
  for (const auto& [key, one] : all) {
    out.gauge("prometheus_wal_watcher_current_segment",
              "Current segment the WAL watcher is reading records from.",
              one->metrics().segment.value(), {{"consumer", key}});
  }
  counter("tarsier_remote_storage_log_segments_lost_total",
          "Segments of the log that were gone before they were sent.",
          &ForwardMetrics::segments_lost);
  counter("tarsier_remote_storage_log_read_errors_total", "Failed attempts to read the log.",
          &ForwardMetrics::read_errors);
  gauge("tarsier_remote_storage_log_bytes_behind",
        "About how much of the log is not known to be stored by the receiver.",
        &ForwardMetrics::bytes_behind);
}

}  // namespace tarsier::ingest
