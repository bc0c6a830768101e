#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <dirent.h>

#include "base/bytes.h"
#include "tests/fuzz/fuzz.h"

// Under libFuzzer the entry point below is all there is. In an ordinary build every target is
// linked into this program, its `fuzz_one` renamed (tests/CMakeLists.txt), and `fuzz_corpus NAME
// FOLDER` feeds it every file of its corpus, each truncated at every length up to 512 and with
// seeded random bytes changed, so that the ordinary test run exercises the target too.

#ifdef TARSIER_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tarsier::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

#else

namespace tarsier {
#define TARGET(name) void name##_one(Bytes);
#include <fuzz_targets.inc>
#undef TARGET
}  // namespace tarsier

namespace {

struct Target {
  std::string_view name;
  void (*one)(tarsier::Bytes input);
};

constexpr Target kTargets[] = {
#define TARGET(name) {#name, tarsier::name##_one},
#include <fuzz_targets.inc>
#undef TARGET
};

}  // namespace

int main(int argc, char** argv) {
  const Target* target = argc == 3
                             ? std::ranges::find(kTargets, std::string_view(argv[1]), &Target::name)
                             : std::end(kTargets);
  if (target == std::end(kTargets)) {
    std::fprintf(stderr, "usage: %s TARGET CORPUS-FOLDER, a target of:\n", argv[0]);
    for (const Target& known : kTargets) std::fprintf(stderr, "  %s\n", known.name.data());
    return 2;
  }
  std::vector<std::string> inputs = {""};
  if (DIR* dir = ::opendir(argv[2])) {
    while (const dirent* entry = ::readdir(dir)) {
      if (entry->d_name[0] == '.') continue;
      std::ifstream file(std::string(argv[2]) + "/" + entry->d_name, std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    ::closedir(dir);
  }
  // A folder lists in any order; the changes drawn below must not depend on it.
  std::sort(inputs.begin(), inputs.end());
  std::size_t run_count = 0;
  const auto run = [&](const std::string& input) {
    target->one(tarsier::as_bytes(input));
    ++run_count;
  };
  std::mt19937 random(20'240'607);  // Fixed: a failure here must be repeatable.
  for (const std::string& input : inputs) {
    run(input);
    for (std::size_t size = 0; size < input.size() && size < 512; ++size) {
      run(input.substr(0, size));
    }
    for (int round = 0; round < 200 && !input.empty(); ++round) {
      std::string changed = input;
      for (unsigned n = 1 + random() % 4; n > 0; --n) {
        changed[random() % changed.size()] = static_cast<char>(random());
      }
      run(changed);
    }
  }
  std::printf("%zu inputs, %zu runs\n", inputs.size(), run_count);
  return inputs.size() > 1 ? 0 : 1;  // A missing corpus is a mistake, not a pass.
}

#endif
