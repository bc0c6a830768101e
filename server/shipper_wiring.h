#pragma once

#include <memory>
#include <string>

#include "base/cancel.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metric.h"
#include "server/config.h"
#include "server/router.h"
#include "server/routes.h"
#include "server/scheduler.h"
#include "tsdb/options.h"
#include "tsdb/shipping.h"

namespace tarsier::server {

/// Ships blocks to the bucket of the `thanos` section, on a thread of its own. Without the section
/// it does nothing, and has neither. Made by the composition after storage and HTTP client, stopped
/// before them.
class ShipperWiring final {
 public:
  struct Doors {
    FileSystem& files;
    HttpClient& client;
    Logger& log;
    std::string data_directory;
    std::string list_path;  ///< ShippingOptions::list_path.
  };
  ShipperWiring(const Doors& doors, const Config& config);
  ~ShipperWiring();

  /// Has blocks wait for us, if `config` says that we ship.
  static void prepare(const Config& config, const std::string& data_directory,
                      tsdb::Options& options);
  /// New external labels are in force from the next block on; another bucket after a restart.
  void apply(const Config& config);
  /// Ends what is being sent; the next start goes on.
  void stop();
  void collect(MetricWriter& out) const;
  /// Null when nothing is shipped.
  const tsdb::Shipper* shipper() const { return shipper_.get(); }

 private:
  Logger& log_;
  const std::shared_ptr<CancelToken> cancel_ = std::make_shared<CancelToken>();
  std::shared_ptr<const ThanosConfig> config_;
  std::unique_ptr<tsdb::Bucket> bucket_;
  std::unique_ptr<tsdb::Shipper> shipper_;
  std::unique_ptr<Scheduler> scheduler_;  // Last: it drives the shipper.
};

/// `/api/tarsier/v1/shipper`: what is shipped, what waits, and why.
void add_shipper_routes(Router& router, const Doors& doors,
                        std::function<const ShipperWiring*()> wiring);

}  // namespace tarsier::server
