#include "gpu/disk_cache.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

namespace daybreak {
namespace {

namespace fs = std::filesystem;

struct Header {
  char magic[8];
  uint64_t key_size, value_size, checksum;  // checksum of key and value
};
constexpr char kMagic[8] = {'d', 'a', 'y', 'b', 'r', 'k', '0', '1'};

// FNV-1a, 64 bits.
uint64_t Hash(const void* data, size_t size, uint64_t h) {
  const auto* p = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) h = (h ^ p[i]) * 0x100000001b3ull;
  return h;
}
constexpr uint64_t kSeed = 0xcbf29ce484222325ull, kOtherSeed = 0x9e3779b97f4a7c15ull;

fs::path DefaultFolder() {
  const auto env = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value ? value : "");
  };
#ifdef _WIN32
  const fs::path base = env("LOCALAPPDATA");
#else
  fs::path base = env("XDG_CACHE_HOME");
  if (base.empty() && !env("HOME").empty()) base = env("HOME") / ".cache";
#endif
  return base.empty() ? base : base / "daybreak";
}

// True for the names that FileOf gives: the folder may hold files of others.
bool IsEntry(const fs::path& path) {
  const std::string name = path.stem().string();
  return path.extension() == ".bin" && name.size() == 32 &&
         name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<char> ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  std::vector<char> data(static_cast<size_t>(std::max<std::streamoff>(file.tellg(), 0)));
  file.seekg(0);
  file.read(data.data(), static_cast<std::streamsize>(data.size()));
  return file ? data : std::vector<char>{};
}

}  // namespace

DiskCache::DiskCache(const std::string& folder, uint64_t max_bytes) {
  if (folder == "off") return;
  folder_ = folder.empty() ? DefaultFolder() : fs::path(folder);
  if (folder_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error)
    folder_.clear();
  else
    Shrink(max_bytes);
}

fs::path DiskCache::FileOf(const void* key, size_t key_size) const {
  char name[48];
  std::snprintf(name, sizeof name, "%016llx%016llx.bin",
                static_cast<unsigned long long>(Hash(key, key_size, kSeed)),
                static_cast<unsigned long long>(Hash(key, key_size, kOtherSeed)));
  return folder_ / name;
}

size_t DiskCache::Load(const void* key, size_t key_size, void* value, size_t value_size) const {
  if (!Enabled()) return 0;
  const fs::path path = FileOf(key, key_size);
  const std::vector<char> data = ReadFile(path);
  if (data.empty()) return 0;
  Header header{};
  if (data.size() >= sizeof header) std::memcpy(&header, data.data(), sizeof header);
  const char* body = data.data() + sizeof header;
  const bool whole = std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 && header.key_size == key_size &&
                     header.value_size <= data.size() &&
                     data.size() == sizeof header + key_size + header.value_size &&
                     Hash(body, data.size() - sizeof header, kSeed) == header.checksum;
  std::error_code error;
  if (!whole || std::memcmp(body, key, key_size) != 0) {
    fs::remove(path, error);
    return 0;
  }
  if (value != nullptr && value_size >= header.value_size) {
    std::memcpy(value, body + key_size, header.value_size);
    fs::last_write_time(path, fs::file_time_type::clock::now(), error);  // the time of last use, for Shrink
  }
  return header.value_size;
}

std::string DiskCache::Text(const std::string& key) const {
  std::string text(Load(key.data(), key.size(), nullptr, 0), '\0');
  if (Load(key.data(), key.size(), text.data(), text.size()) != text.size()) text.clear();  // just replaced
  return text;
}

void DiskCache::Store(const void* key, size_t key_size, const void* value, size_t value_size) const {
  if (!Enabled() || value_size == 0) return;
  static std::atomic<uint64_t> counter = std::random_device{}() * uint64_t{1} << 20;
  const fs::path path = FileOf(key, key_size);
  const fs::path temporary = path.string() + "." + std::to_string(counter++) + ".tmp";
  Header header{{}, key_size, value_size, Hash(value, value_size, Hash(key, key_size, kSeed))};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::error_code error;
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(static_cast<const char*>(key), static_cast<std::streamsize>(key_size));
    file.write(static_cast<const char*>(value), static_cast<std::streamsize>(value_size));
    file.close();
    if (!file) {
      fs::remove(temporary, error);
      return;
    }
  }
  fs::rename(temporary, path, error);
  if (error) fs::remove(temporary, error);
}

void DiskCache::Shrink(uint64_t max_bytes) const {
  struct Entry {
    fs::file_time_type used;
    uint64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code error;
  const auto stale = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const auto used = it->last_write_time(ignored);
    const auto bytes = it->file_size(ignored);
    if (ignored) continue;
    // HASH.bin.NUMBER.tmp, left by a killed process.
    if (it->path().extension() == ".tmp" && IsEntry(it->path().stem().stem()) && used < stale)
      fs::remove(it->path(), ignored);
    if (!IsEntry(it->path())) continue;
    entries.push_back({used, bytes, it->path()});
    total += bytes;
  }
  if (total <= max_bytes) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= max_bytes / 4 * 3) break;
    if (fs::remove(entry.path, error)) total -= entry.bytes;
  }
}

}  // namespace daybreak
