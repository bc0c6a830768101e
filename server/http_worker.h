#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/log.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "server/http_server.h"

namespace tarsier::server {

// An inside of HttpServer; only it and its connections include this.

/// What every worker and connection of one server may look at. Outlives them all.
struct HttpServerState final {
  HttpServerState(HttpServerOptions o, HttpDispatch d, HttpGuard g, Logger& l)
      : options(std::move(o)), dispatch(std::move(d)), guard(std::move(g)), log(l) {}

  const HttpServerOptions options;
  const HttpDispatch dispatch;
  const HttpGuard guard;
  Logger& log;
  std::atomic<bool> draining{false};
  Counter accepted;
  Counter refused;
  Counter timed_out;
  Counter bodies_put_off;
  std::atomic<std::uint64_t> body_bytes{0};  ///< Reserved for requests being read or handled.
  mutable Mutex mutex;
  CondVar gone;  ///< Notified when the last connection ends.
  std::size_t connection_count GUARDED_BY(mutex) = 0;

  /// Returns how many there are now.
  std::size_t add_connection();
  void remove_connection();
  /// False when some are left after `timeout`.
  bool wait_until_gone(Duration timeout);
};

class HttpConnection;

/// One network thread with its event loop and the connections that live on it: a connection never
/// changes its thread, so nothing about it is locked. Made and ended by HttpServer; connections
/// keep their worker alive. Functions without a note may be called from any thread.
class HttpWorker final : public std::enable_shared_from_this<HttpWorker> {
 public:
  enum class Welcome : unsigned char {
    kServe,
    kRefuse,  ///< Answer 503, then close.
    kDrop,    ///< Close at once.
  };
  enum class Which : unsigned char { kIdle, kAll };
  enum class Stop : unsigned char { kWhenDone, kAtOnce };

  explicit HttpWorker(std::shared_ptr<HttpServerState> state);

  /// Starts the thread, named http-`index`. Once.
  void start(std::size_t index);
  /// Takes over a connection that `state->add_connection()` has counted.
  void adopt(boost::asio::ip::tcp::socket socket, Welcome welcome);
  void close_connections(Which which);
  /// Lets the thread end: when its connections have, or without waiting for them.
  void stop(Stop how);
  /// REQUIRES: start() and stop() were called.
  void join() { thread_.join(); }

  /// Its event loop: what is posted here runs on the worker's thread.
  boost::asio::io_context& context() { return context_; }
  HttpServerState& state() { return *state_; }

  // For its connections, on its thread:
  void add(HttpConnection* connection) { connections_.insert(connection); }
  void remove(HttpConnection* connection) { connections_.erase(connection); }
  /// Now, as answers give it.
  const std::string& date() const { return date_; }

 private:
  void tick();

  const std::shared_ptr<HttpServerState> state_;
  // Of the worker's thread:
  std::unordered_set<HttpConnection*> connections_;
  std::string date_;      // For answers; refreshed by tick().
  bool stopped_ = false;  // A timer that has fired cannot be cancelled any more.

  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  boost::asio::steady_timer ticker_;
  std::thread thread_;
};

}  // namespace tarsier::server
