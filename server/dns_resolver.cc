#include "server/dns_resolver.h"

#include <array>
#include <deque>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>

#include <fmt/format.h>

#include "base/mutex.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kQueueMax = 1000;
constexpr std::size_t kAnswerBytesMax = 64 << 10;

int wire_type(DnsType type) {
  switch (type) {
    case DnsType::kA: return ns_t_a;
    case DnsType::kAaaa: return ns_t_aaaa;
    case DnsType::kSrv: return ns_t_srv;
    case DnsType::kMx: return ns_t_mx;
    case DnsType::kNs: return ns_t_ns;
  }
  return ns_t_a;
}

Result<std::string> name_at(const ns_msg& message, const unsigned char* at,
                            const unsigned char* end) {
  std::array<char, NS_MAXDNAME> name{};
  if (at >= end || ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), at, name.data(),
                                      name.size()) < 0) {
    return corruption("DNS answer: a name breaks off");
  }
  return std::string(name.data()) + ".";  // As it is written in zones: absolute.
}

Result<DnsRecord> read_record(const ns_msg& message, const ns_rr& record, DnsType type) {
  const unsigned char* const data = ns_rr_rdata(record);
  const std::size_t size = ns_rr_rdlen(record);
  const unsigned char* const end = data + size;
  DnsRecord out;
  std::array<char, INET6_ADDRSTRLEN> text{};
  switch (type) {
    case DnsType::kA:
    case DnsType::kAaaa:
      if (size != (type == DnsType::kA ? 4U : 16U)) {
        return corruption("DNS answer: an address of the wrong size");
      }
      ::inet_ntop(type == DnsType::kA ? AF_INET : AF_INET6, data, text.data(), text.size());
      out.target = text.data();
      return out;
    case DnsType::kSrv:  // Priority, weight, port, target.
      if (size < 7) return corruption("DNS answer: a SRV record breaks off");
      out.port = static_cast<std::uint16_t>(ns_get16(data + 4));
      out.target = TRY(name_at(message, data + 6, end));
      return out;
    case DnsType::kMx:
      if (size < 3) return corruption("DNS answer: an MX record breaks off");
      out.target = TRY(name_at(message, data + 2, end));
      return out;
    case DnsType::kNs: out.target = TRY(name_at(message, data, end)); return out;
  }
  return out;
}

Result<std::vector<DnsRecord>> ask(const std::string& name, DnsType type) {
  struct __res_state state{};
  if (::res_ninit(&state) != 0) return unavailable("could not load resolv.conf");
  std::vector<unsigned char> answer(kAnswerBytesMax);
  const int size = ::res_nsearch(&state, name.c_str(), ns_c_in, wire_type(type), answer.data(),
                                 static_cast<int>(answer.size()));
  const int reason = state.res_h_errno;
  ::res_nclose(&state);
  if (size >= 0) {
    return parse_dns_answer(
        answer.data(), std::min<std::size_t>(static_cast<std::size_t>(size), answer.size()), type);
  }
  if (reason == HOST_NOT_FOUND) return not_found(fmt::format("{}: no such host", name));
  if (reason == NO_DATA) return std::vector<DnsRecord>();
  return unavailable(fmt::format("could not resolve {}: no server responded successfully: {}", name,
                                 ::hstrerror(reason)));
}

}  // namespace

Result<std::vector<DnsRecord>> parse_dns_answer(const unsigned char* message, std::size_t size,
                                                DnsType type) {
  ns_msg handle;
  if (::ns_initparse(message, static_cast<int>(size), &handle) < 0) {
    return corruption("DNS answer: not a message");
  }
  std::vector<DnsRecord> records;
  const int count = ns_msg_count(handle, ns_s_an);
  for (int i = 0; i < count; ++i) {
    ns_rr record;
    if (::ns_parserr(&handle, ns_s_an, i, &record) < 0) {
      return corruption(fmt::format("DNS answer: record {} breaks off", i));
    }
    if (ns_rr_type(record) == wire_type(type)) {
      records.push_back(TRY(read_record(handle, record, type)));
    }
  }
  return records;
}

struct SystemDnsResolver::Impl {
  struct Question {
    std::string name;
    DnsType type;
    std::function<void(Result<std::vector<DnsRecord>>)> done;
  };

  void run() {
    ::pthread_setname_np(::pthread_self(), "dns");
    while (true) {
      Question question;
      {
        MutexLock lock(mutex);
        while (queue.empty() && !stopping) changed.wait(mutex);
        if (stopping) return;
        question = std::move(queue.front());
        queue.pop_front();
      }
      auto records = ask(question.name, question.type);
      {
        const MutexLock lock(mutex);
        if (stopping) return;
        ++answering;
      }
      question.done(std::move(records));
      const MutexLock lock(mutex);
      --answering;
      changed.notify_all();
    }
  }

  Mutex mutex;
  CondVar changed;
  std::deque<Question> queue GUARDED_BY(mutex);
  std::size_t answering GUARDED_BY(mutex) = 0;
  bool stopping GUARDED_BY(mutex) = false;
};

// A name server that does not answer can hold a thread for half a minute. The end of the program
// does not wait for that: threads keep what they need, and an answer that comes later is dropped.
SystemDnsResolver::SystemDnsResolver() : impl_(std::make_shared<Impl>()) {
  for (std::size_t i = 0; i < kThreads; ++i) {
    std::thread([impl = impl_] { impl->run(); }).detach();
  }
}

SystemDnsResolver::~SystemDnsResolver() {
  MutexLock lock(impl_->mutex);
  impl_->stopping = true;
  impl_->queue.clear();
  impl_->changed.notify_all();
  while (impl_->answering > 0) impl_->changed.wait(impl_->mutex);
}

void SystemDnsResolver::lookup(std::string name, DnsType type,
                               std::function<void(Result<std::vector<DnsRecord>>)> done) {
  {
    const MutexLock lock(impl_->mutex);
    if (impl_->queue.size() < kQueueMax && !impl_->stopping) {
      impl_->queue.push_back({std::move(name), type, std::move(done)});
      impl_->changed.notify_one();
      return;
    }
  }
  done(unavailable("too many names wait to be looked up"));
}

}  // namespace tarsier::server
