#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/slo.h"
#include "base/file.h"
#include "base/result.h"
#include "base/time.h"

namespace tarsier::server {

/// Of one file of objectives; a larger one is a mistake.
inline constexpr std::size_t kSloFileBytesMax = std::size_t{16} << 20;

/// What one file says.
struct SloFileContents {
  std::vector<alerting::SloDefinition> slos;
  /// Tiers by period, of Sloth's AlertWindows: they hold for Sloth's objectives of all files.
  std::map<Duration, std::vector<alerting::BurnTier>> windows;
};

/// Reads one file of objectives, strictly: our own form, Sloth's, Pyrra's and OpenSLO v1, told
/// apart by what each document says of itself. kInvalid with everything that is wrong, one line
/// each:
///   slos.yml: 7:15: slo "checkout": an objective is a percentage ...
/// `files` is where time zones are. An empty file has no objectives.
Result<SloFileContents> parse_slo_file(std::string_view text, const std::string& path,
                                       FileSystem& files);

/// The objectives ready to run. kInvalid naming the file, also for an id that is there twice.
Result<std::vector<std::shared_ptr<const alerting::Slo>>> compile_slos(SloFileContents contents);

/// Every objective of the files that the patterns mean, ready to run. One error rejects them all,
/// as does an id that is there twice.
Result<std::vector<std::shared_ptr<const alerting::Slo>>> read_slo_files(
    FileSystem& files, const std::vector<std::string>& patterns);

}  // namespace tarsier::server
