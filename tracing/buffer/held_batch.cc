#include "tracing/buffer/held_batch.h"

namespace tarsier::tracing {
namespace {

/// Below this share of undecided bytes a batch leaves memory.
constexpr std::uint64_t kLiveShareInverse = 4;
/// Batches this small are not worth reading again.
constexpr std::uint64_t kSmallBatchBytes = 16 << 10;

}  // namespace

HeldBatch::HeldBatch(std::shared_ptr<const SpanBatch> batch, SpanLog& log,
                     HeldBatchAccount& account)
    : log_(log),
      account_(account),
      wire_bytes_(batch->wire().size()),
      memory_bytes_(batch->memory_bytes() + sizeof(HeldBatch)),
      resident_(std::move(batch)) {
  account_.resident_bytes.fetch_add(memory_bytes_, std::memory_order_relaxed);
}

HeldBatch::~HeldBatch() {
  if (resident_) account_.resident_bytes.fetch_sub(memory_bytes_, std::memory_order_relaxed);
  if (place_) log_.forget(*place_);
}

void HeldBatch::set_place(std::shared_ptr<SpanLogPlace> place) {
  const MutexLock lock(mutex_);
  place_ = std::move(place);
}

void HeldBatch::release(std::uint64_t bytes) {
  const std::uint64_t live = live_bytes_.fetch_sub(bytes, std::memory_order_relaxed) - bytes;
  // At zero it ends anyway.
  if (live > 0 && wire_bytes_ > kSmallBatchBytes && live * kLiveShareInverse < wire_bytes_) evict();
}

bool HeldBatch::evict() {
  std::shared_ptr<const SpanBatch> gone;
  const MutexLock lock(mutex_);
  if (!resident_) return true;
  if (!place_ || !log_.is_written(*place_)) return false;
  gone.swap(resident_);
  account_.resident_bytes.fetch_sub(memory_bytes_, std::memory_order_relaxed);
  account_.evicted.add();
  return true;
}

Result<std::shared_ptr<const SpanBatch>> HeldBatch::load() {
  std::shared_ptr<SpanLogPlace> place;
  {
    const MutexLock lock(mutex_);
    if (resident_) return resident_;
    place = place_;
  }
  account_.read_again.add();
  return log_.read(*place);
}

}  // namespace tarsier::tracing
