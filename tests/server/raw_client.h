#pragma once

#include <string>
#include <string_view>

namespace tarsier::testing {

/// A TCP connection that sends exactly the bytes a test wants on the wire. Every read gives up
/// after ten seconds, so a broken server fails a test instead of hanging it.
class RawClient final {
 public:
  /// Connects to `127.0.0.1:port` as HttpServer::addresses() spells it.
  explicit RawClient(const std::string& address);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes);
  /// The next answer: its head up to and with the blank line, and its body of Content-Length bytes.
  struct Answer {
    std::string head;
    std::string body;
    int status = 0;  ///< 0 when the connection ended first.
  };
  Answer read_answer(bool has_body = true);
  /// Everything until the server closes.
  std::string read_all();
  void close();

 private:
  bool fill();
  std::string read_chunks();

  int fd_ = -1;
  std::string buffer_;
};

}  // namespace tarsier::testing
