#include "server/shipper_wiring.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/api.h"
#include "server/clock.h"
#include "server/config_thanos.h"
#include "server/handlers.h"

namespace tarsier::server {
namespace {

constexpr Duration kSleepStep = milliseconds(50);

void write_names(JsonWriter& json, std::string_view name, const std::vector<std::string>& names) {
  json.key(name).begin_array();
  for (const std::string& one : names) json.value(one);
  json.end_array();
}

HttpResponse shipper_response(const tsdb::Shipper* shipper) {
  if (shipper == nullptr) {
    return api_error(ApiErrorType::kNotFound, "no blocks are shipped: there is no thanos section");
  }
  const tsdb::ShipperStatus status = shipper->status();
  return api_success([&](JsonWriter& json) {
    json.begin_object().field("bucket", status.bucket).key("labels").begin_object();
    for (const auto& [name, value] : status.labels) json.field(name, value);
    json.end_object();
    write_names(json, "uploaded", status.uploaded);
    write_names(json, "waiting", status.waiting);
    json.field("current", status.current)
        .field("uploadedBlocks", status.uploaded_blocks)
        .field("uploadedBytes", status.uploaded_bytes)
        .field("lastUpload", status.last_upload == kMinTimestamp ? 0 : status.last_upload.ms)
        .field("lastError", status.last_error)
        .end_object();
  });
}

}  // namespace

void ShipperWiring::prepare(const Config& config, const std::string& data_directory,
                            tsdb::Options& options) {
  if (!config.thanos) return;
  if (options.shipping.list_path.empty()) {
    options.shipping.list_path = join_path(data_directory, tsdb::kShippedListName);
  }
  options.shipping.is_certain = true;
  // Blocks of series that ended overlap the others, and halt Thanos' compactor.
  options.ended_series_min = SIZE_MAX;
}

ShipperWiring::ShipperWiring(const Doors& doors, const Config& config)
    : log_(doors.log), config_(config.thanos) {
  if (!config_) return;
  const auto sleep = [cancel = cancel_](Duration wait) {
    for (; wait > Duration{} && !cancel->is_cancelled(); wait = wait - kSleepStep) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kSleepStep.ms));
    }
  };
  bucket_ = config_->kind == ThanosConfig::Kind::kS3
                ? make_s3_bucket(config_->s3, {doors.client, now, sleep, cancel_})
                : tsdb::make_directory_bucket(doors.files, config_->directory);
  shipper_ =
      std::make_unique<tsdb::Shipper>(doors.files,
                                      tsdb::ShipperOptions{doors.data_directory, doors.list_path,
                                                           config_->prefix, config_->has_hashes},
                                      *bucket_, log_);
  shipper_->set_labels(config.global.external_labels);
  scheduler_ = std::make_unique<Scheduler>("shipper");
  scheduler_->add([this](Timestamp t) { return shipper_->run_due(t); });
}

ShipperWiring::~ShipperWiring() { stop(); }

void ShipperWiring::apply(const Config& config) {
  const bool is_same =
      config_ && config.thanos ? config_->is_same_bucket(*config.thanos) : config_ == config.thanos;
  if (!is_same) log_.warn("A changed bucket is in force after a restart only");
  if (shipper_) shipper_->set_labels(config.global.external_labels);
}

void ShipperWiring::stop() {
  cancel_->cancel();
  if (shipper_) shipper_->cancel();
  if (scheduler_) scheduler_->stop();
}

void ShipperWiring::collect(MetricWriter& out) const {
  if (shipper_) shipper_->collect(out);
}

void add_shipper_routes(Router& router, const Doors& doors,
                        std::function<const ShipperWiring*()> wiring) {
  router.add({.path = "/api/tarsier/v1/shipper",
              .handler = pooled_handler(doors, [wiring = std::move(wiring)](const HttpRequest&) {
                return shipper_response(wiring()->shipper());
              })});
}

}  // namespace tarsier::server
