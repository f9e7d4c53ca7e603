#include "gpu/recipe.h"

#include <cstring>

#include "core/error.h"

namespace daybreak {
namespace {

// Numbers and texts one after the other.
struct Writer {
  std::string bytes;

  void Number(uint32_t v) { bytes.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void Text(const std::string& text) {
    Number(static_cast<uint32_t>(text.size()));
    bytes += text;
  }
};

struct Reader {
  std::string_view rest;

  uint32_t Number() {
    uint32_t v = 0;
    Check(rest.size() >= sizeof v, "A list of pipelines is cut off.");
    std::memcpy(&v, rest.data(), sizeof v);
    rest.remove_prefix(sizeof v);
    return v;
  }
  std::string Text() {
    const uint32_t size = Number();
    Check(size <= rest.size(), "A list of pipelines is cut off.");
    std::string text(rest.substr(0, size));
    rest.remove_prefix(size);
    return text;
  }
};

}  // namespace

Recipe RecipeOf(const Dispatch& d, const Segments& segments, const RenderTarget& target) {
  Recipe recipe{.shader = d.shader, .text = Render(d, target, segments)};
  for (size_t i = 0; i < d.in.size() + d.out.size(); ++i)
    recipe.bindings.append(SegmentsOf(segments, i), i < d.in.size() ? 'r' : 'w');
  const size_t bytes = ParamBytes(d);
  recipe.param_bytes = static_cast<uint32_t>(bytes);
  recipe.uniform = bytes > 0 && !(target.immediates && bytes <= kMaxImmediateBytes);
  return recipe;
}

std::vector<Recipe> LoadRecipes(const DiskCache& cache, const std::string& key) {
  const std::string bytes = cache.Text(key);
  std::vector<Recipe> recipes;
  Reader reader{bytes};
  while (!reader.rest.empty()) {
    Recipe& recipe = recipes.emplace_back();
    recipe.shader = reader.Text();
    recipe.text = reader.Text();
    recipe.bindings = reader.Text();
    recipe.param_bytes = reader.Number();
    recipe.uniform = reader.Number() != 0;
  }
  return recipes;
}

void StoreRecipes(const DiskCache& cache, const std::string& key, const std::vector<const Recipe*>& recipes) {
  Writer writer;
  for (const Recipe* recipe : recipes) {
    writer.Text(recipe->shader);
    writer.Text(recipe->text);
    writer.Text(recipe->bindings);
    writer.Number(recipe->param_bytes);
    writer.Number(recipe->uniform);
  }
  cache.Store(key.data(), key.size(), writer.bytes.data(), writer.bytes.size());
}

}  // namespace daybreak
