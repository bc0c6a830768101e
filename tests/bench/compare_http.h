#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tarsier::bench {

/// One keep-alive HTTP/1.1 connection to 127.0.0.1, with blocking sockets: as plain as a sender can
/// be, so that it takes little from the machine it shares with the server. Connects when needed.
class HttpConnection final {
 public:
  explicit HttpConnection(int port, int timeout_seconds = 120)
      : port_(port), timeout_seconds_(timeout_seconds) {}
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  struct Answer {
    int status = 0;
    std::string body;
  };
  Result<Answer> get(std::string_view path);
  Result<Answer> post_remote_write(std::string_view path, std::string_view body);

 private:
  Result<Answer> exchange(std::string_view head, std::string_view body);
  Status connect();
  Status send_all(std::string_view bytes);
  Status receive_more();
  void close();

  const int port_;
  const int timeout_seconds_;
  int fd_ = -1;
  std::string received_;
};

std::string url_encoded(std::string_view text);

}  // namespace tarsier::bench
