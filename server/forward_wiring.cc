#include "server/forward_wiring.h"

#include <chrono>
#include <thread>

#include "server/clock.h"

namespace tarsier::server {
namespace {

constexpr Duration kStopGrace = seconds(5);

}  // namespace

ForwardWiring::ForwardWiring(tsdb::Db& db, HttpClient& client, Logger& log)
    : forwarder_(ingest::ForwardDoor{
          .client = client,
          .follow = [&db](tsdb::FollowerOptions options) { return db.follow(std::move(options)); },
          .stored_followers = [&db] { return db.stored_followers(); },
          .forget_follower = [&db](const std::string& name) { return db.forget_follower(name); },
          .metadata = [&db] { return db.metadata(); },
          .newest = [&db] { return db.newest_time(); },
          .wake = [this] { scheduler_.wake(); },
          .log = log}) {
  scheduler_.add([this](Timestamp t) { return forwarder_.run_due(t); });
}

ForwardWiring::~ForwardWiring() = default;

void ForwardWiring::apply(const Config& config) {
  tsdb::LabelsBuilder external;
  for (const auto& [name, value] : config.global.external_labels) external.set(name, value);
  forwarder_.apply(config.remote_write, external.build());
}

void ForwardWiring::stop() {
  scheduler_.stop();
  forwarder_.begin_stop();
  const Timestamp deadline = now() + kStopGrace;
  for (;;) {
    forwarder_.run_due(now());
    if (forwarder_.is_idle() || now() >= deadline) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace tarsier::server
