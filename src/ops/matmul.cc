// MatMul, Gemm and their fused forms as one dense product: shape rules and strides.
#include "ops/gemm.h"

namespace daybreak {
namespace {

// One operand: the strides of its rows and columns, and its batch dimensions.
struct Operand {
  int64_t rows, cols, row_stride, col_stride;
  Shape batch, batch_strides;
};

// `batch_first`: the row dimension is the outermost one and the batch dimensions follow (transBatch of
// FusedMatMul).
Operand OperandOf(const Shape& shape, bool transposed, bool batch_first) {
  const Shape strides = StridesOf(shape);
  const size_t last = shape.size() - 1;
  const size_t row = batch_first ? 0 : last - 1;
  Operand o{.rows = shape[row], .cols = shape[last], .row_stride = strides[row], .col_stride = strides[last]};
  for (size_t i = 0; i < last; ++i)
    if (i != row) {
      o.batch.push_back(shape[i]);
      o.batch_strides.push_back(strides[i]);
    }
  if (transposed) {
    std::swap(o.rows, o.cols);
    std::swap(o.row_stride, o.col_stride);
  }
  return o;
}

// Strides of an operand along the batch dimensions of the result: 0 where it broadcasts.
Shape AlignStrides(const Operand& o, const Shape& batch) {
  Shape s;
  s.resize(batch.size(), 0);
  const size_t skip = batch.size() - o.batch.size();
  for (size_t i = 0; i < o.batch.size(); ++i) s[skip + i] = o.batch[i] == 1 ? 0 : o.batch_strides[i];
  return s;
}

// Merges neighbouring batch dimensions that both operands walk evenly, and drops those of one element.
void MergeBatch(Product& q, const Shape& batch, const Shape& a, const Shape& b) {
  Shape dims, sa, sb;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i] == 1) continue;
    if (!dims.empty() && sa.back() == a[i] * batch[i] && sb.back() == b[i] * batch[i]) {
      dims.back() *= batch[i];
      sa.back() = a[i];
      sb.back() = b[i];
    } else {
      dims.push_back(batch[i]);
      sa.push_back(a[i]);
      sb.push_back(b[i]);
    }
  }
  // Batches of a over one matrix b are rows of a.
  if (dims.size() == 1 && sb[0] == 0 && sa[0] == int64_t{q.m} * q.a_m && q.a_k == 1) {
    q.m = U32(q.m * dims[0]);
    dims.clear();
  }
  if (dims.empty()) {
    dims = {1};
    sa = sb = {0};
  }
  q.batch = ToInts(dims);
  q.a_batch = ToInts(sa);
  q.b_batch = ToInts(sb);
}

struct Flags {
  bool trans_a = false, trans_b = false, batch_a = false, batch_b = false;
};

void MatrixProduct(Plan& p, Flags f, float alpha) {
  Product q{.a = p.In(0), .b = p.In(1), .alpha = alpha};
  Shape a = q.a->shape, b = q.b->shape;
  Check(!a.empty() && !b.empty(), "MatMul: inputs of rank 0 have no matrix product.");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(0, 1);
  if (column) b.push_back(1);
  const Operand left = OperandOf(a, f.trans_a && !row, f.batch_a && a.size() > 2);
  const Operand right = OperandOf(b, f.trans_b && !column, f.batch_b && b.size() > 2);
  Check(left.cols == right.rows, "MatMul: shapes ", ToString(q.a->shape), " and ", ToString(q.b->shape),
        " do not match: ", left.cols, " columns against ", right.rows, " rows.");
  const Shape batch = Broadcast(left.batch, right.batch);
  Shape out = batch;
  if (!row) out.push_back(left.rows);
  if (!column) out.push_back(right.cols);
  q.y = p.Out(0, out);
  if (Count(out) == 0) return;
  q.m = U32(left.rows);
  q.n = U32(right.cols);
  q.k = U32(left.cols);
  q.a_m = U32(left.row_stride);
  q.a_k = U32(left.col_stride);
  q.b_k = U32(right.row_stride);
  q.b_n = U32(right.col_stride);
  MergeBatch(q, batch, AlignStrides(left, batch), AlignStrides(right, batch));
  Multiply(p, q);
}

void MatMul(Plan& p) { MatrixProduct(p, {}, 1.0f); }

void FusedMatMul(Plan& p) {
  const Flags flags{p.Attr("transA", 0) != 0, p.Attr("transB", 0) != 0, p.Attr("transBatchA", 0) != 0,
                    p.Attr("transBatchB", 0) != 0};
  MatrixProduct(p, flags, p.Attr("alpha", 1.0f));
}

void Gemm(Plan& p) {
  Product q{.a = p.In(0),
            .b = p.In(1),
            .bias = p.In(2),
            .alpha = p.Attr("alpha", 1.0f),
            .beta = p.Attr("beta", 1.0f)};
  Check(q.a->shape.size() == 2 && q.b->shape.size() == 2, "Gemm: A ", ToString(q.a->shape), " and B ",
        ToString(q.b->shape), " must be matrices.");
  const Operand a = OperandOf(q.a->shape, p.Attr("transA", 0) != 0, false);
  const Operand b = OperandOf(q.b->shape, p.Attr("transB", 0) != 0, false);
  Check(a.cols == b.rows, "Gemm: A has ", a.cols, " columns (after transA) and B ", b.rows, " rows.");
  const Shape out{a.rows, b.cols};
  q.y = p.Out(0, out);
  if (Count(out) == 0) return;
  q.m = U32(a.rows);
  q.n = U32(b.cols);
  q.k = U32(a.cols);
  q.a_m = U32(a.row_stride);
  q.a_k = U32(a.col_stride);
  q.b_k = U32(b.row_stride);
  q.b_n = U32(b.col_stride);
  if (q.bias) {
    const Shape strides = BroadcastStrides(q.bias->shape, out);
    q.bias_m = U32(strides[0]);
    q.bias_n = U32(strides[1]);
  }
  q.batch = {1};
  q.a_batch = q.b_batch = {0};
  Multiply(p, q);
}

constexpr const char* kFloats = "T: f32 f16 bf16";

const Register ops{
    {.name = "MatMul", .types = "T: f32 f16 bf16 i32 u32 i64 u64", .plan = MatMul},
    {.name = "Gemm", .since = 7, .types = kFloats, .plan = Gemm},
    {.domain = "com.microsoft", .name = "FusedMatMul", .types = kFloats, .plan = FusedMatMul},
    {.domain = "com.microsoft", .name = "TransposeMatMul", .types = kFloats, .plan = FusedMatMul},
};

}  // namespace
}  // namespace daybreak
