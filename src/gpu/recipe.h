// What a pipeline is made from, and lists of it on disk: what earlier processes compiled for a model is
// compiled again while its session is created, before a dispatch asks for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gpu/disk_cache.h"
#include "gpu/render.h"

namespace daybreak {

struct Recipe {
  std::string shader;    // name, for labels and messages
  std::string text;      // WGSL; the rest follows from it
  std::string bindings;  // a letter each: 'r' read-only storage, 'w' storage
  uint32_t param_bytes = 0;
  bool uniform = false;  // params come from the uniform buffer: one more binding, with a dynamic offset
};

Recipe RecipeOf(const Dispatch& dispatch, const Segments& segments, const RenderTarget& target);

// The recipes that `cache` keeps under `key`; empty when there are none.
std::vector<Recipe> LoadRecipes(const DiskCache& cache, const std::string& key);
void StoreRecipes(const DiskCache& cache, const std::string& key, const std::vector<const Recipe*>& recipes);

}  // namespace daybreak
