#include "server/http_worker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <pthread.h>

#include <fmt/format.h>
#include <boost/asio.hpp>

#include "server/clock.h"
#include "server/http_answer.h"
#include "server/http_connection.h"

namespace tarsier::server {
namespace {

namespace net = boost::asio;
using Tcp = net::ip::tcp;

constexpr std::int64_t kNsPerMs = 1'000'000;

}  // namespace

std::size_t HttpServerState::add_connection() {
  const MutexLock lock(mutex);
  return ++connection_count;
}

void HttpServerState::remove_connection() {
  const MutexLock lock(mutex);
  if (--connection_count == 0) gone.notify_all();
}

bool HttpServerState::wait_until_gone(Duration timeout) {
  const std::int64_t end_ms = monotonic_ns() / kNsPerMs + timeout.ms;
  MutexLock lock(mutex);
  while (connection_count > 0) {
    const std::int64_t left_ms = end_ms - monotonic_ns() / kNsPerMs;
    if (left_ms <= 0) return false;
    gone.wait_for_ms(mutex, static_cast<long>(left_ms));
  }
  return true;
}

HttpWorker::HttpWorker(std::shared_ptr<HttpServerState> state)
    : state_(std::move(state)),
      date_(http_date(now())),
      context_(1),
      guard_(context_.get_executor()),
      ticker_(context_) {}

void HttpWorker::start(std::size_t index) {
  tick();
  thread_ = std::thread([this, index] {
    const std::string name = fmt::format("http-{}", index);
    ::pthread_setname_np(::pthread_self(), name.c_str());
    context_.run();
  });
}

void HttpWorker::adopt(Tcp::socket socket, Welcome welcome) {
  auto connection = std::make_shared<HttpConnection>(shared_from_this(), std::move(socket));
  // Handed over whole, also one to drop: its last reference must go on its own thread.
  net::post(context_, [connection = std::move(connection), welcome] {
    if (welcome == Welcome::kServe) connection->start();
    if (welcome == Welcome::kRefuse) connection->refuse();
  });
}

void HttpWorker::close_connections(Which which) {
  net::post(context_, [self = shared_from_this(), which] {
    std::vector<std::shared_ptr<HttpConnection>> held;  // Closing may end a connection.
    for (HttpConnection* c : self->connections_) held.push_back(c->shared_from_this());
    for (const auto& c : held) which == Which::kIdle ? c->close_if_idle() : c->close();
  });
}

void HttpWorker::stop(Stop how) {
  net::post(context_, [self = shared_from_this(), how] {
    self->stopped_ = true;
    self->ticker_.cancel();
    self->guard_.reset();
    if (how == Stop::kAtOnce) self->context_.stop();
  });
}

/// One timer for all connections_ of the worker: deadlines cost a comparison, not a timer each.
void HttpWorker::tick() {
  date_ = http_date(now());
  const std::int64_t now_ns = monotonic_ns();
  std::vector<std::shared_ptr<HttpConnection>> held;  // Closing may end a connection.
  held.reserve(connections_.size());
  for (HttpConnection* connection : connections_) held.push_back(connection->shared_from_this());
  for (const auto& connection : held) connection->check_deadline(now_ns);
  const HttpServerOptions& o = state_->options;
  const std::int64_t shortest_ms =
      std::min({o.header_timeout.ms, o.body_timeout.ms, o.idle_timeout.ms, o.write_timeout.ms});
  const std::int64_t every_ms = std::clamp<std::int64_t>(shortest_ms / 4, 5, 1000);
  ticker_.expires_after(std::chrono::milliseconds(every_ms));
  ticker_.async_wait([this](boost::system::error_code error) {
    if (!error && !stopped_) tick();
  });
}

}  // namespace tarsier::server
