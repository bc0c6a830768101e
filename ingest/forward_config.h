#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/http_client_config.h"
#include "base/time.h"
#include "ingest/relabel.h"

namespace tarsier::ingest {

enum class WriteProtocol : unsigned char { kVersion1, kVersion2 };

/// `queue_config`, with Prometheus' defaults.
struct ForwardQueueConfig {
  std::uint64_t capacity = 10'000;  ///< Samples that wait in one shard.
  std::uint64_t max_shards = 50;
  std::uint64_t min_shards = 1;
  std::uint64_t max_samples_per_send = 2000;
  Duration batch_send_deadline = seconds(5);  ///< A request is sent at the latest after this.
  Duration min_backoff = milliseconds(30);
  Duration max_backoff = seconds(5);
  bool retry_on_http_429 = false;
  Duration sample_age_limit{0};  ///< Older samples are not sent. 0: all are.
  bool operator==(const ForwardQueueConfig&) const = default;
};

/// `metadata_config`; of version 1.0, since 2.0 sends metadata with the samples.
struct ForwardMetadataConfig {
  bool send = true;
  Duration send_interval = minutes(1);
  std::uint64_t max_samples_per_send = 2000;
  bool operator==(const ForwardMetadataConfig&) const = default;
};

/// One entry of `remote_write`: where samples go, and how.
struct ForwardConfig {
  std::string url;
  std::string name;
  WriteProtocol protocol = WriteProtocol::kVersion1;
  Duration remote_timeout = seconds(30);
  std::vector<RelabelRule> write_relabel_rules;
  bool send_exemplars = false;
  bool send_native_histograms = false;  ///< With 2.0 they always are.
  ForwardQueueConfig queue;
  ForwardMetadataConfig metadata;
  HttpClientConfig http;  ///< Configured headers too.
  bool operator==(const ForwardConfig&) const = default;
};

/// The name a destination has in metrics and in the file of its position: `name`, or a hash of what
/// tells it from others, so that another queue_config goes on where the old one stopped.
std::string forward_key(const ForwardConfig& config);

}  // namespace tarsier::ingest
