// Attention after its inputs are in place: scores, softmax, weighted sum of values. Every attention operator
// ends here.
#pragma once

#include "core/op.h"

namespace daybreak {

// Where element (batch, head, row, 0) of a tensor lies, in elements.
struct HeadLayout {
  int64_t batch = 0, head = 0, row = 0;
  int64_t first = 0;  // offset of (0, 0, 0, 0)
};

// Sequences whose tokens follow one another, a row each in q and the output, and whose keys lie in blocks of
// a cache that others share (lib/attention_pages.wgsl). Only the device knows how the rows are shared out.
struct Pages {
  const Tensor* starts = nullptr;  // i32 [batch + 1]: first token of each sequence, and their end
  const Tensor* pasts = nullptr;   // i32 [batch]: keys before the first query
  const Tensor* table = nullptr;   // i32 [batch, blocks]
  int64_t tokens = 0;
  int64_t block = 0, pool = 0;  // rows of a block, blocks of the cache; both above 0
  int64_t keys = 0;             // most keys of a sequence, for the choice of kernels only
  int64_t capacity() const { return table->shape[1] * block; }  // keys that a row of the table has room for
  int64_t least = 0,
          most = UINT32_MAX;  // query rows, of all heads of a group, of the sequences that take part
};

// Puts the bindings, constants and parameters of lib/attention_pages.wgsl but `keys` into a dispatch for
// `batch` sequences.
void AddPages(Dispatch& d, const Pages& pages, int64_t batch);

struct Attention {
  const Tensor *q = nullptr, *k = nullptr, *v = nullptr;
  const Tensor* out = nullptr;
  HeadLayout q_at, k_at, v_at, out_at;
  int64_t kv_bits = 0;                         // 0: k and v hold elements; 8 or 4: packed rows (KvRow)
  bool kv_scaled = false;                      // with 8 bits: rows of integers without a factor
  int64_t batch = 0, heads = 0, kv_heads = 0;  // heads is a multiple of kv_heads
  int64_t seq = 0;                             // query rows of a batch entry; the most of one with pages
  int64_t keys = 0;                 // key rows that every batch entry has, or at most has (with seqlens)
  int64_t head = 0, v_head = 0;     // sizes of a head
  const Tensor* seqlens = nullptr;  // i32 [batch]: key rows - 1; queries are then the last rows
  const Pages* pages = nullptr;     // strides of batch entries are then 0, rows of k and v those of the cache
  bool causal = false;              // query s sees keys up to past + s
  bool last_sees_all = false;       // but the last one every key
  int64_t past = 0;                 // keys before the first query; with seqlens max(keys - seq, 0)
  int64_t window = 0;               // > 0: only the last `window` of the keys that causality leaves
  float scale = 0;                  // of scores; 0: 1 / sqrt(head)
  float softcap = 0;                // > 0: scores become softcap * tanh(score / softcap)
  const Tensor* bias = nullptr;     // added to scores, rows of at least `keys` elements
  HeadLayout bias_at;               // stride 0 broadcasts
  const Tensor* sink = nullptr;     // [heads]: one more score, without a value
  bool smooth = false;              // a sink of 0 for each head
};

// New rows that have not reached the caches: what is appended, and what the fused decode kernel takes instead
// of `Attention::q`.
struct NewRows {
  const Tensor *q = nullptr, *k = nullptr, *v = nullptr;  // f32 or f16, as the projections left them
  int64_t q_row = 0, kv_row = 0;                          // elements of a token
  int64_t first_k = 0, first_v = 0;                       // offsets in k and v
  int64_t kv_seq = 0;                                     // rows of k and v: seq or 0
  bool rotary = false, interleaved = false;
  int64_t rope_first = 0;                             // first element of a head that is rotated
  const Tensor *cos = nullptr, *sin = nullptr;        // [positions, half]
  const Tensor* ids = nullptr;                        // i64 [batch, seq]; nullptr: past + s
  const Tensor *q_norm = nullptr, *k_norm = nullptr;  // [head]; RMS norm of each head, with `eps`
  const Tensor *k_past = nullptr, *v_past = nullptr;  // the caches' past, where they are other memory
  float eps = 0;
};

// How far the scores of an output have come; each stage includes those before it.
enum class ScoreStage : uint8_t {
  kProduct,  // scale * q * k
  kCapped,   // softcap
  kMasked,   // bias, causality, window
  kSoftmax,  // probabilities; a sink takes its part
};

// An output of the scores.
struct ScoreOutput {
  const Tensor* y = nullptr;  // [batch, heads, seq, keys]; nullptr: none
  ScoreStage stage = ScoreStage::kMasked;
  float hidden = 0;  // kMasked: of keys that causality, window or length hide
};

// Writes scores of the problem that Attend takes.
void Scores(Plan& plan, const Attention& a, const ScoreOutput& out);

// Query rows of a kv head's group that the kernel for few rows takes: beyond them keys are read too often,
// once for each tile of rows.
inline constexpr int64_t kFewRows = 32;

// Issues the dispatches. Rows that see no key give 0.
void Attend(Plan& plan, const Attention& attention);

// The kernel for few query rows. True when it took the work: the rows are few and the device can run it. With
// `rows` it appends them to the caches a.k and a.v, which then are outputs laid out [batch, kv_heads, keys,
// head].
bool Decode(Plan& plan, const Attention& a, const NewRows* rows);

// The kernel on subgroup matrices, for many query rows in f16. True when it took the work.
bool AttendWithMatrices(Plan& plan, const Attention& a);

// What a row of a packed cache (lib/kv_cache.wgsl) takes, in its own elements of 8 or 4 bits: `head` of them
// and 32 bits for the row's factor. HeadLayouts of packed caches count these. With `bits` 0: `head`.
int64_t KvRow(int64_t head, int64_t bits);

// The binding of keys or values of which `width` elements make a vector; a packed cache is bound as words.
Bind KvBind(const char* name, const Tensor* cache, int64_t bits, uint32_t width);

// Workgroups of `rows` query rows each that the sequences of a kv head may need (lib/attention_pages.wgsl).
int64_t PagedTiles(const Attention& a, int64_t rows);

// Widest vector (4 or 1 elements) that every offset of q, k, v and the output allows.
uint32_t WidthOf(const Attention& a);
Ints InVectors(const HeadLayout& at, uint32_t width);
float ScaleOf(const Attention& a);

// Constants, bindings and parameters of lib/attention_rope.wgsl but q and k.
void AddRope(Dispatch& d, const NewRows& rows);

// What the shaders that append share: a team of threads for each head vector, q and k and where they lie, and
// AddRope. Returns the teams of a workgroup.
int64_t AddAppended(Dispatch& d, const DeviceInfo& device, const NewRows& rows, int64_t head);

// Constants, bindings and parameters of lib/attention_score.wgsl and lib/attention_keys.wgsl, and constants
// of lib/kv_cache.wgsl.
void AddScoreParts(Dispatch& d, const Attention& a);
// A workgroup for each tile of `rows` query rows of a kv head's group, with the parameters of the problem and
// the parts of scores.
void AddRowTiles(Dispatch& d, const Attention& a, int64_t rows);

// What the problem is to tuning. Around Attend, and around what else an operator does for it.
struct AttentionScope : ProblemScope {
  AttentionScope(Plan& plan, const Attention& a);
};
// True when a test or tuning (core/variant.h) asks for the tile kernel ("attention_tile" or
// "attention_tile_staged"), and for that or the matrix kernel.
bool ForcesTile();
bool SkipsDecode();

// The smallest power of two that is not below n.
uint32_t Pow2(int64_t n);

}  // namespace daybreak
