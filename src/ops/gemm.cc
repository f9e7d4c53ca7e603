// Variants of the dense product.
#include "ops/gemm.h"

#include <algorithm>

#include "core/variant.h"
#include "ops/gemm_matrix.h"

namespace daybreak {

uint32_t Product::batches() const {
  uint32_t count = 1;
  for (const uint32_t d : batch) count *= d;
  return count;
}

namespace {

// True when runs of four elements along the operand's contiguous axis, which has `extent` elements, are
// aligned.
bool Quads(const Tensor& t, uint32_t along, uint32_t other, uint32_t extent, const Ints& batch) {
  const bool aligned = std::all_of(batch.begin(), batch.end(), [](uint32_t s) { return s % 4 == 0; });
  return along == 1 && other % 4 == 0 && extent % 4 == 0 && aligned && t.type != DType::kBF16;
}

bool AlongM(const Product& q) { return q.a_k != 1 && q.a_m == 1; }
bool AlongN(const Product& q) { return q.b_n == 1; }
bool QuadsA(const Product& q) {
  return AlongM(q) ? Quads(*q.a, q.a_m, q.a_k, q.m, q.a_batch) : Quads(*q.a, q.a_k, q.a_m, q.k, q.a_batch);
}
bool QuadsB(const Product& q) {
  return AlongN(q) ? Quads(*q.b, q.b_n, q.b_k, q.n, q.b_batch) : Quads(*q.b, q.b_k, q.b_n, q.k, q.b_batch);
}

Dispatch Common(const Product& q, const char* shader, bool quads_a, bool quads_b) {
  Dispatch d{.shader = shader,
             .consts = {{"BIAS", q.bias != nullptr}, {"BATCH_RANK", static_cast<uint32_t>(q.batch.size())}},
             .in = {{"a", q.a, quads_a ? 4u : 1u}, {"b", q.b, quads_b ? 4u : 1u}},
             .out = {{"y", q.y}},
             .params = {{"batch", q.batch},
                        {"a_batch", q.a_batch},
                        {"b_batch", q.b_batch},
                        {"m", q.m},
                        {"n", q.n},
                        {"k", q.k},
                        {"a_m", q.a_m},
                        {"a_k", q.a_k},
                        {"b_k", q.b_k},
                        {"b_n", q.b_n},
                        {"bias_m", q.bias_m},
                        {"bias_n", q.bias_n},
                        {"alpha", q.alpha},
                        {"beta", q.beta}}};
  if (q.bias) d.in.push_back({"bias", q.bias});
  return d;
}

// A thread an output word: any type.
void Each(Plan& p, const Product& q) {
  const DType type = q.y->type;
  const bool wide = IsInt64(type);
  Dispatch d = Common(q, "gemm_each", false, false);
  d.consts.push_back({"acc_t", wide                  ? "vec2<u32>"
                               : type == DType::kI32 ? "i32"
                               : type == DType::kU32 ? "u32"
                                                     : "f32"});
  d.consts.push_back({"INT64", wide});
  d.consts.push_back({"SCALED", IsFloat(type)});
  d.params.push_back({"size", U32(q.y->count())});
  d.grid = {CeilDiv<int64_t>(q.y->count(), 64 * PerThread(d.out[0]))};
  p.Run(d);
}

void Tile(Plan& p, const Product& q) {
  const bool quads_a = QuadsA(q), quads_b = QuadsB(q);
  const auto tiles = [&](uint32_t side) {
    return int64_t{CeilDiv(q.m, side)} * CeilDiv(q.n, side) * q.batches();
  };
  const uint32_t span =
      tiles(128) >= 96 ? 2 : 1;  // of 64 rows and columns: large tiles only where they fill a GPU
  Dispatch d = Common(q, "gemm_tile", quads_a, quads_b);
  for (const Const& c : {Const{"NBITS", false},
                         {"SPAN", span},
                         {"A_ALONG_M", AlongM(q)},
                         {"B_ALONG_N", AlongN(q)},
                         {"A_QUADS", quads_a},
                         {"B_QUADS", quads_b}})
    d.consts.push_back(c);
  d.params.push_back({"tiles_m", CeilDiv(q.m, 64 * span)});
  d.params.push_back({"tiles_n", CeilDiv(q.n, 64 * span)});
  d.grid = {tiles(64 * span)};
  p.Run(d);
}

// Threads own four neighbouring columns; slices of K meet in workgroup memory where columns alone are few
// threads.
void Columns(Plan& p, const Product& q) {
  const bool software = p.Device().device_class == DeviceClass::kSoftware && !IsForced("gemm_slices");
  const uint32_t rows = q.m == 1 ? 1 : q.m <= 4 ? 4 : 8;
  const uint32_t quads = q.n / 4;
  // Eight quads of f16 are 64 bytes, which every GPU reads at once, and slices of K fill the workgroup; a
  // processor's workgroup is one task, for which more columns at a time are better and a barrier between
  // slices is lost time.
  const uint32_t wide = software ? 16 : 8;  // quads a workgroup
  const uint32_t slices = software ? 1 : std::min(rows == 1 ? 32u : 16u, p.Device().max_invocations / wide);
  Dispatch d = Common(q, "gemm_columns", false, true);
  for (const Const& c : {Const{"ROWS", rows}, {"WIDE", wide}, {"SLICES", slices}}) d.consts.push_back(c);
  d.params.push_back({"row_tiles", CeilDiv(q.m, rows)});
  d.params.push_back({"column_tiles", CeilDiv(quads, wide)});
  d.grid = {int64_t{CeilDiv(quads, wide)} * CeilDiv(q.m, rows) * q.batches()};
  p.Run(d);
}

// A team of lanes a column, for columns along K.
void Dot(Plan& p, const Product& q) {
  constexpr uint32_t kThreads = 128;
  const DeviceInfo& device = p.Device();
  const uint32_t size = device.subgroups ? device.subgroup_size() : 0;
  const uint32_t team =
      device.software ? 8 : 32;  // one vector of a processor; a subgroup, or part of one, elsewhere
  const uint32_t columns = q.n * q.batches();
  Dispatch d = Common(q, "gemm_dot", true, true);
  for (const Const& c : {Const{"WG", kThreads},
                         {"TEAM", team},
                         {"SUBGROUPS", size > 0},
                         {"SG", std::max(size, 1u)},
                         {"FOUR", q.m > 1}})
    d.consts.push_back(c);
  d.params.push_back({"columns", columns});
  d.grid = {CeilDiv(columns, kThreads / team)};
  p.Run(d);
}

constexpr auto kAlways = [](const DeviceInfo&, const Product&) { return true; };
constexpr auto kFloat = [](const DeviceInfo&, const Product& q) {
  return q.y->type == DType::kF32 || q.y->type == DType::kF16;
};

// Dot and Columns read B once, and need no barrier on a processor; tiles read it once for 64 rows. Up to
// eight rows the memory decides on every class of devices; beyond, matrix units where there are any (see
// matmul_nbits.cc), else tiles.
constexpr Variant<Product> kVariants[] = {
    {"gemm_dot",
     [](const DeviceInfo& d, const Product& q) {
       return kFloat(d, q) && q.m <= 4 && q.a_k == 1 && q.b_k == 1 && q.b_n != 1 && QuadsA(q) && QuadsB(q);
     },
     kAlways, Dot},
    {"gemm_columns",
     [](const DeviceInfo& d, const Product& q) { return kFloat(d, q) && AlongN(q) && QuadsB(q); },
     [](const DeviceInfo& d, const Product& q) {
       return d.device_class == DeviceClass::kSoftware || q.m <= 8;
     },
     Columns},
    {"gemm_matrix", [](const DeviceInfo& d, const Product& q) { return FitsMatrixUnits(d, q); },
     [](const DeviceInfo&, const Product& q) { return q.m > 8; },
     [](Plan& p, const Product& q) { MultiplyOnMatrixUnits(p, q); }},
    {"gemm_tile", kFloat, [](const DeviceInfo&, const Product& q) { return q.m * q.n >= 256; }, Tile},
    {"gemm_each", kAlways, kAlways, Each},
};

const Family kFamily("gemm",
                     {"gemm_dot", "gemm_columns", "gemm_columns,gemm_slices", "gemm_matrix,matrix_4x4",
                      "gemm_matrix,matrix_8_2x4", "gemm_matrix,matrix_8_2x2", "gemm_matrix,matrix_2x2",
                      "gemm_matrix,matrix_4x4,matrix_slices=2", "gemm_matrix,matrix_4x4,matrix_slices=4",
                      "gemm_matrix,matrix_4x4,matrix_slices=8", "gemm_matrix,matrix_8_2x4,matrix_slices=2",
                      "gemm_matrix,matrix_8_2x4,matrix_slices=4", "gemm_matrix,matrix_8_2x4,matrix_slices=8",
                      "gemm_tile"});

}  // namespace

void Multiply(Plan& p, const Product& product) {
  if (product.y->count() == 0) return;
  const ProblemScope scope(p, kFamily, product.y->type,
                           {{"m", SizeClass(product.m)},
                            {"n", product.n},
                            {"k", product.k},
                            {"batches", SizeClass(product.batches())},
                            {"a_rows", !AlongM(product)},
                            {"b_rows", AlongN(product)}});
  RunVariant(p, product, kVariants);
}

}  // namespace daybreak
