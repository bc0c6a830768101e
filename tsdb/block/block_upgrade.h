#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace tarsier::tsdb {

/// What the `version` of a block's meta.json means for us.
enum class MetaVersion : unsigned char {
  kCurrent,     ///< 1, or nothing that could be read: opening the block will tell.
  kMislabeled,  ///< 2, as Prometheus 2.1 wrote by mistake: `fix_mislabeled_block` helps.
  kUnknown,     ///< A format of the future: to be left alone.
};
Result<MetaVersion> look_at_meta_version(FileSystem& files, const std::string& directory);

/// Prometheus 2.1 wrote meta version 2, and 1 into the index, which is of version 2: turns both
/// round, the index first, each by a rename. Interrupted, it can be repeated.
Status fix_mislabeled_block(FileSystem& files, const std::string& directory);

}  // namespace tarsier::tsdb
