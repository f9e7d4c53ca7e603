// Compiled pipelines on disk: one file an entry, safe against corruption, concurrent processes and kills.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace daybreak {

// Each entry is a file that holds its key and a checksum; it is written under a temporary name and renamed.
// What does not verify counts as absent and is removed. Failures to write (full disk, no permission) are
// ignored: the cache only saves time. All functions may be called from any thread.
class DiskCache {
 public:
  // `folder` "" means the user's cache folder, "off" none. When the folder holds more than `max_bytes`, the
  // entries that were used longest ago go.
  explicit DiskCache(const std::string& folder, uint64_t max_bytes = uint64_t{256} << 20);

  bool Enabled() const { return !folder_.empty(); }
  const std::filesystem::path& Folder() const { return folder_; }

  // Bytes of the value, 0 when absent. Copies it when `value_size` is enough.
  size_t Load(const void* key, size_t key_size, void* value, size_t value_size) const;
  // A value that is text; "" when absent.
  std::string Text(const std::string& key) const;
  void Store(const void* key, size_t key_size, const void* value, size_t value_size) const;

 private:
  std::filesystem::path FileOf(const void* key, size_t key_size) const;
  void Shrink(uint64_t max_bytes) const;

  std::filesystem::path folder_;
};

}  // namespace daybreak
