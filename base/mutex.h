#pragma once

#include <condition_variable>
#include <mutex>

// Clang's thread-safety analysis does not see through std::mutex, so every lock in the house is a
// Mutex held by a MutexLock. With GCC the annotations are empty.
#if defined(__clang__)
#define TARSIER_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define TARSIER_THREAD_ANNOTATION(x)
#endif
#define CAPABILITY(x) TARSIER_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY TARSIER_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) TARSIER_THREAD_ANNOTATION(guarded_by(x))
#define PT_GUARDED_BY(x) TARSIER_THREAD_ANNOTATION(pt_guarded_by(x))
#define ACQUIRED_AFTER(...) TARSIER_THREAD_ANNOTATION(acquired_after(__VA_ARGS__))
#define REQUIRES_LOCK(...) TARSIER_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES_LOCK(...) TARSIER_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRES_LOCK(...) TARSIER_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASES_LOCK(...) TARSIER_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS TARSIER_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace tarsier {

/// A plain exclusive lock. Held for memory work only: no I/O, no callbacks, no other room.
class CAPABILITY("mutex") Mutex final {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock() ACQUIRES_LOCK() { mutex_.lock(); }
  void unlock() RELEASES_LOCK() { mutex_.unlock(); }
  bool try_lock() TARSIER_THREAD_ANNOTATION(try_acquire_capability(true)) {
    return mutex_.try_lock();
  }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex for a scope.
class SCOPED_CAPABILITY MutexLock final {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRES_LOCK(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASES_LOCK() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// Wakes threads that wait for a condition guarded by a Mutex.
class CondVar final {
 public:
  /// Releases `mutex`, waits to be notified (or spuriously), takes it again.
  void wait(Mutex& mutex) REQUIRES_LOCK(mutex) { condition_.wait(mutex); }
  /// False when `timeout_ms` passed without a notification.
  bool wait_for_ms(Mutex& mutex, long timeout_ms) REQUIRES_LOCK(mutex);
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

}  // namespace tarsier
