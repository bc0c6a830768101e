#include "ingest/remote/series_cache.h"

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace tarsier::ingest {
namespace {

using tsdb::SeriesRef;

constexpr Timestamp kNow{1'700'000'000'000};

std::vector<Hash128> random_hashes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Hash128> hashes(count);
  for (Hash128& hash : hashes) hash = {random(), random()};
  return hashes;
}

std::vector<SeriesRef> find(const SeriesCache& cache, const std::vector<Hash128>& hashes,
                            Timestamp now = kNow) {
  std::vector<SeriesRef> found(hashes.size(), SeriesRef{99});
  cache.find(hashes, found, now);
  return found;
}

TEST(SeriesCache, FindsWhatWasInsertedThroughManyGrowths) {
  SeriesCache cache(1'000'000);
  const std::vector<Hash128> hashes = random_hashes(50'000, 1);
  for (std::size_t i = 0; i < hashes.size(); ++i) cache.insert(hashes[i], SeriesRef{i + 1}, kNow);
  const std::vector<SeriesRef> found = find(cache, hashes);
  for (std::size_t i = 0; i < hashes.size(); ++i) ASSERT_EQ(found[i].value, i + 1);
  for (const SeriesRef ref : find(cache, random_hashes(1'000, 2))) EXPECT_EQ(ref.value, 0u);
  EXPECT_EQ(cache.entry_count(), hashes.size());
  EXPECT_LE(cache.memory_bytes(), hashes.size() * 43);
}

TEST(SeriesCache, TellsHashesApartThatShareTheirLowHalf) {
  SeriesCache cache(1'000);
  cache.insert({5, std::uint64_t{1} << 60}, SeriesRef{1}, kNow);
  cache.insert({5, std::uint64_t{2} << 60}, SeriesRef{2}, kNow);
  EXPECT_EQ(
      find(cache,
           {{5, std::uint64_t{1} << 60}, {5, std::uint64_t{2} << 60}, {5, std::uint64_t{3} << 60}}),
      (std::vector<SeriesRef>{{1}, {2}, {0}}));
}

TEST(SeriesCache, TakesAHashOfZero) {
  SeriesCache cache(1'000);
  EXPECT_EQ(find(cache, {{0, 0}}), (std::vector<SeriesRef>{{0}}));
  cache.insert({0, 0}, SeriesRef{7}, kNow);
  EXPECT_EQ(find(cache, {{0, 0}}), (std::vector<SeriesRef>{{7}}));
}

TEST(SeriesCache, ReplacesTheNumberOfAKnownSeries) {
  SeriesCache cache(1'000);
  cache.insert({1, 2}, SeriesRef{7}, kNow);
  cache.insert({1, 2}, SeriesRef{8}, kNow);
  EXPECT_EQ(find(cache, {{1, 2}}), (std::vector<SeriesRef>{{8}}));
  EXPECT_EQ(cache.entry_count(), 1u);
}

TEST(SeriesCache, LeavesBehindWhatNobodyAskedForInOverAnHour) {
  SeriesCache cache(1'000'000);
  const std::vector<Hash128> ended = random_hashes(700, 1);
  const std::vector<Hash128> living = random_hashes(60, 2);
  for (const Hash128& hash : ended) cache.insert(hash, SeriesRef{1}, kNow);
  for (const Hash128& hash : living) cache.insert(hash, SeriesRef{2}, kNow);
  for (int quarter = 1; quarter <= 6; ++quarter) find(cache, living, kNow + minutes(15 * quarter));
  const Timestamp later = kNow + minutes(15 * 6);
  for (const Hash128& hash : random_hashes(100, 3)) cache.insert(hash, SeriesRef{3}, later);
  EXPECT_EQ(cache.entry_count(), living.size() + 100);
  for (const SeriesRef ref : find(cache, living, later)) EXPECT_EQ(ref.value, 2u);
  for (const SeriesRef ref : find(cache, ended, later)) EXPECT_EQ(ref.value, 0u);
}

TEST(SeriesCache, StaysWithinItsLimitAndKeepsWhatItHas) {
  SeriesCache cache(500);
  const std::vector<Hash128> hashes = random_hashes(5'000, 1);
  for (std::size_t i = 0; i < hashes.size(); ++i) cache.insert(hashes[i], SeriesRef{i + 1}, kNow);
  EXPECT_LE(cache.entry_count(), 768u);
  EXPECT_EQ(cache.memory_bytes(), 1024u * 16);
  EXPECT_EQ(find(cache, {hashes[0]}), (std::vector<SeriesRef>{{1}}));
}

TEST(SeriesCache, StartsEmptyAfterAClear) {
  SeriesCache cache(1'000);
  cache.insert({1, 2}, SeriesRef{7}, kNow);
  cache.clear();
  EXPECT_EQ(find(cache, {{1, 2}}), (std::vector<SeriesRef>{{0}}));
  EXPECT_EQ(cache.entry_count(), 0u);
}

TEST(SeriesCache, NeverGivesAWrongNumberWhileItGrows) {
  SeriesCache cache(1'000'000);
  const std::vector<Hash128> hashes = random_hashes(20'000, 1);
  std::atomic<bool> done{false};
  std::atomic<std::size_t> wrong_count{0};
  std::thread reader([&] {
    while (!done.load(std::memory_order_relaxed)) {
      const std::vector<SeriesRef> found = find(cache, hashes);
      for (std::size_t i = 0; i < hashes.size(); ++i) {
        if (found[i].value != 0 && found[i].value != i + 1) wrong_count.fetch_add(1);
      }
    }
  });
  for (std::size_t i = 0; i < hashes.size(); ++i) cache.insert(hashes[i], SeriesRef{i + 1}, kNow);
  done.store(true, std::memory_order_relaxed);
  reader.join();
  EXPECT_EQ(wrong_count.load(), 0u);
}

}  // namespace
}  // namespace tarsier::ingest
