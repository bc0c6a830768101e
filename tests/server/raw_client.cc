#include "tests/server/raw_client.h"

#include <cstdlib>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

namespace tarsier::testing {

RawClient::RawClient(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  CHECK(::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) == 1);
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
}

RawClient::~RawClient() { close(); }

void RawClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // The server has closed; the test sees it when it reads.
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool RawClient::fill() {
  char chunk[4096];
  const ssize_t n = ::recv(fd_, chunk, sizeof chunk, 0);
  if (n <= 0) return false;
  buffer_.append(chunk, static_cast<std::size_t>(n));
  return true;
}

RawClient::Answer RawClient::read_answer(bool has_body) {
  Answer answer;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return answer;
  }
  answer.head = buffer_.substr(0, end + 4);
  buffer_.erase(0, end + 4);
  std::size_t length = 0;
  if (const std::size_t at = answer.head.find("Content-Length: "); at != std::string::npos) {
    length = static_cast<std::size_t>(std::atoll(answer.head.c_str() + at + 16));
  }
  if (has_body && answer.head.find("Transfer-Encoding: chunked") != std::string::npos) {
    answer.status = std::atoi(answer.head.c_str() + 9);
    answer.body = read_chunks();
    return answer;
  }
  while (has_body && buffer_.size() < length) {
    if (!fill()) return answer;
  }
  if (has_body) {
    answer.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
  }
  answer.status = std::atoi(answer.head.c_str() + 9);
  return answer;
}

std::string RawClient::read_chunks() {
  std::string body;
  for (;;) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!fill()) return "(cut off)";
    }
    const auto size = static_cast<std::size_t>(std::strtoull(buffer_.c_str(), nullptr, 16));
    while (buffer_.size() < end + 2 + size + 2) {
      if (!fill()) return "(cut off)";
    }
    body += buffer_.substr(end + 2, size);
    buffer_.erase(0, end + 2 + size + 2);
    if (size == 0) return body;
  }
}

std::string RawClient::read_all() {
  while (fill()) {
  }
  return std::move(buffer_);
}

}  // namespace tarsier::testing
