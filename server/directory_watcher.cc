#include "server/directory_watcher.h"

#include <array>
#include <map>
#include <thread>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mutex.h"

namespace tarsier::server {
namespace {

// A file is replaced in several steps; those that follow at once are one change.
constexpr int kSettleMs = 20;
constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB;

}  // namespace

struct DirectoryWatcher::Impl {
  explicit Impl(std::function<void()> c)
      : changed(std::move(c)),
        notify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
        stop(::eventfd(0, EFD_CLOEXEC)) {}
  ~Impl() {
    if (notify >= 0) ::close(notify);
    if (stop >= 0) ::close(stop);
  }

  /// Whether there was anything to read.
  bool drain() const {
    std::array<char, 16 << 10> buffer;
    bool any = false;
    while (::read(notify, buffer.data(), buffer.size()) > 0) any = true;
    return any;
  }

  void run() const {
    ::pthread_setname_np(::pthread_self(), "dir-watch");
    while (true) {
      std::array<pollfd, 2> ends = {{{notify, POLLIN, 0}, {stop, POLLIN, 0}}};
      if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) return;
      if (ends[1].revents != 0) return;
      if (ends[0].revents == 0 || !drain()) continue;
      pollfd ending = {stop, POLLIN, 0};
      if (::poll(&ending, 1, kSettleMs) > 0) return;
      drain();
      changed();
    }
  }

  const std::function<void()> changed;
  const int notify;
  const int stop;
  Mutex mutex;
  std::map<std::string, int> watches GUARDED_BY(mutex);
  std::thread thread;
};

DirectoryWatcher::DirectoryWatcher(std::function<void()> changed)
    : impl_(std::make_unique<Impl>(std::move(changed))) {
  if (impl_->notify < 0 || impl_->stop < 0) return;
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

DirectoryWatcher::~DirectoryWatcher() {
  if (!impl_->thread.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(impl_->stop, &one, sizeof(one));
  impl_->thread.join();
}

void DirectoryWatcher::watch(const std::vector<std::string>& directories) {
  const MutexLock lock(impl_->mutex);
  if (impl_->notify < 0) return;
  std::map<std::string, int> before;
  before.swap(impl_->watches);
  for (const std::string& directory : directories) {
    if (auto kept = before.extract(directory)) {
      impl_->watches.insert(std::move(kept));
      continue;
    }
    const int watch = ::inotify_add_watch(impl_->notify, directory.c_str(), kEvents);
    if (watch >= 0) impl_->watches.emplace(directory, watch);
  }
  for (const auto& [directory, watch] : before) ::inotify_rm_watch(impl_->notify, watch);
}

}  // namespace tarsier::server
