#include "tests/bench/compare_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace tarsier::bench {
namespace {

Status system_error(std::string_view what) {
  return io_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

HttpConnection::~HttpConnection() { close(); }

void HttpConnection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  received_.clear();
}

Status HttpConnection::connect() {
  if (fd_ >= 0) return {};
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval timeout{timeout_seconds_, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return {};
  const Status status = system_error("connect");
  close();
  return status;
}

Status HttpConnection::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return system_error("send");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status HttpConnection::receive_more() {
  const std::size_t old_size = received_.size();
  received_.resize(old_size + 65536);
  const ssize_t n = ::recv(fd_, received_.data() + old_size, 65536, 0);
  received_.resize(old_size + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (n == 0) return unavailable("connection closed by the server");
  return n < 0 ? system_error("recv") : Status();
}

Result<HttpConnection::Answer> HttpConnection::exchange(std::string_view head,
                                                        std::string_view body) {
  TRY(connect());
  TRY(send_all(head));
  TRY(send_all(body));
  std::size_t head_end = 0;
  while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) TRY(receive_more());
  const std::string headers = lower_case(received_.substr(0, head_end + 2));
  received_.erase(0, head_end + 4);
  Answer answer;
  answer.status = std::atoi(headers.c_str() + headers.find(' ') + 1);
  const auto header = [&](std::string_view name) -> std::string {
    const std::size_t at = headers.find(fmt::format("\r\n{}: ", name));
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return headers.substr(begin, headers.find("\r\n", begin) - begin);
  };
  if (header("transfer-encoding") == "chunked") {
    for (;;) {
      std::size_t line_end = 0;
      while ((line_end = received_.find("\r\n")) == std::string::npos) TRY(receive_more());
      const std::size_t size = std::strtoul(received_.c_str(), nullptr, 16);
      while (received_.size() < line_end + 2 + size + 2) TRY(receive_more());
      answer.body.append(received_, line_end + 2, size);
      received_.erase(0, line_end + 2 + size + 2);
      if (size == 0) break;
    }
  } else {
    const std::size_t size = std::strtoul(header("content-length").c_str(), nullptr, 10);
    while (received_.size() < size) TRY(receive_more());
    answer.body = received_.substr(0, size);
    received_.erase(0, size);
  }
  if (header("connection") == "close") close();
  return answer;
}

Result<HttpConnection::Answer> HttpConnection::get(std::string_view path) {
  Result<Answer> answer =
      exchange(fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", path, port_), "");
  if (!answer.ok()) close();
  return answer;
}

Result<HttpConnection::Answer> HttpConnection::post_remote_write(std::string_view path,
                                                                 std::string_view body) {
  Result<Answer> answer = exchange(
      fmt::format(
          "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/x-protobuf\r\n"
          "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
          "User-Agent: tarsier-compare\r\nContent-Length: {}\r\n\r\n",
          path, port_, body.size()),
      body);
  if (!answer.ok()) close();
  return answer;
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace tarsier::bench
