// Float functions of f32 accuracy (a few units in the last place) for every input: huge values, infinities, NaN.
// WGSL's own functions may lose all digits (log near 1, tanh and pow of large values), and compilers may assume that
// there is no NaN, so NaN is found by its bits.
// VF is f32 or a vector of it; VU, VI and VB are the matching u32, i32 and bool types.
var<private> special_bits: vec2<u32> = vec2<u32>(0x7f800000u, 0x7fc00000u);  // hidden from constant folding
fn infinity() -> f32 { return bitcast<f32>(special_bits.x); }
fn not_a_number() -> f32 { return bitcast<f32>(special_bits.y); }

fn is_nan(v: VF) -> VB { return (bitcast<VU>(v) & VU(0x7fffffffu)) > VU(0x7f800000u); }
fn is_inf(v: VF) -> VB { return (bitcast<VU>(v) & VU(0x7fffffffu)) == VU(0x7f800000u); }
fn with_sign(magnitude: VF, sign_of: VF) -> VF {
  return bitcast<VF>((bitcast<VU>(magnitude) & VU(0x7fffffffu)) | (bitcast<VU>(sign_of) & VU(0x80000000u)));
}
// The 12 leading bits of v; products of two such heads are exact.
fn head(v: VF) -> VF { return bitcast<VF>(bitcast<VU>(v) & VU(0xfffff000u)); }
// 2^n for -126 <= n <= 127.
fn two_to(n: VI) -> VF { return bitcast<VF>((n + VI(127)) << VU(23u)); }

// expm1 on [-ln(2)/2, ln(2)/2], and the power of two that leads there: exp(v) = (1 + m) 2^n.
struct Exponential {
  m: VF,
  n: VI,
}
fn reduce_exp(v: VF) -> Exponential {
  let n = round(v * 1.44269504);
  let r = (v - n * 0.693145752) - n * 1.42860677e-6;
  let high = 0.5 + r * (0.166666667 + r * (0.0416666667 + r * (0.00833333333 + r * (0.00138888889 + r * 0.000198412698))));
  return Exponential(r + r * r * high, VI(n));
}
fn exp_(v: VF) -> VF {
  let e = reduce_exp(clamp(v, VF(-110.0), VF(90.0)));
  let half = e.n >> VU(1u);
  let y = (1.0 + e.m) * two_to(half) * two_to(e.n - half);
  return select(select(y, VF(infinity()), v > VF(88.7228394)), v, is_nan(v));
}
fn expm1_(v: VF) -> VF {
  let e = reduce_exp(clamp(v, VF(-20.0), VF(87.0)));
  let scale = two_to(e.n);
  return select(select(e.m * scale + (scale - 1.0), exp_(v), v > VF(86.0)), v, is_nan(v));
}

// log(v) = n ln(2) + log(1 + f), f in [-1/3, 1/3].
struct Logarithm {
  f: VF,
  n: VF,
}
fn reduce_log(v: VF) -> Logarithm {
  let small = v < VF(1.17549435e-38);
  let bits = bitcast<VI>(select(v, v * 8388608.0, small));
  let e = (bits - VI(0x3f2aaaab)) & VI(-0x800000);
  return Logarithm(bitcast<VF>(bits - e) - 1.0, VF(e >> VU(23u)) - select(VF(0.0), VF(23.0), small));
}
// log(1 + f) for |f| <= 1/3, as 2 atanh(f / (2 + f)).
fn log1p_small(f: VF) -> VF {
  let s = f / (2.0 + f);
  let z = s * s;
  let tail = z * (0.666666667 + z * (0.4 + z * (0.285714286 + z * (0.222222222 + z * 0.181818182))));
  return f - s * (f - tail);
}
fn log_(v: VF) -> VF {
  let l = reduce_log(v);
  let y = l.n * 0.693145752 + (log1p_small(l.f) + l.n * 1.42860677e-6);
  let pole = select(y, VF(-infinity()), v == VF(0.0));
  return select(select(pole, v, v > VF(0x1.fffffep+127f)), VF(not_a_number()), (v < VF(0.0)) | is_nan(v));
}
fn log1p_(v: VF) -> VF { return select(log_(1.0 + v), log1p_small(clamp(v, VF(-0.34), VF(0.34))), abs(v) < VF(0.33)); }

fn sigmoid_(v: VF) -> VF {
  let e = exp_(-abs(v));
  return select(e, VF(1.0), v >= VF(0.0)) / (1.0 + e);
}
fn tanh_(v: VF) -> VF {
  let t = expm1_(-2.0 * abs(v));
  return select(with_sign(t / (t + 2.0), v), v, is_nan(v));
}
fn softplus_(v: VF) -> VF { return select(select(v, VF(0.0), v < VF(0.0)) + log1p_(exp_(-abs(v))), v, is_nan(v)); }

// Minimax polynomials: (erf(x) - x) / x in x^2 up to 0.95, -log(1 - erf(x)) above.
fn erf_(v: VF) -> VF {
  let t = min(abs(v), VF(4.0));
  let s = t * t;
  let near = 0.128379166 + s * (-0.376126316 + s * (0.11283664 + s * (-0.0268577051 + s * (0.00519695201 +
             s * (-0.000809770259 + s * 8.18509018e-5)))));
  let far = 0.000177493682 + t * (1.12774957 + t * (0.637059747 + t * (0.104037365 + t * (-0.0222770898 +
            t * (0.00305560823 + t * -0.000197181792)))));
  let y = select(1.0 - exp_(-far), t + t * near, t < VF(0.93));
  return select(with_sign(y, v), v, is_nan(v));
}

fn asinh_(v: VF) -> VF {
  let t = abs(v);
  let u = min(t, VF(1e9));
  let near = log1p_(u + u * u / (1.0 + sqrt(u * u + 1.0)));
  return select(with_sign(select(near, log_(t) + 0.693147181, t > VF(1e9)), v), v, is_nan(v));
}
fn acosh_(v: VF) -> VF {
  let u = clamp(v, VF(1.0), VF(1e9)) - 1.0;
  let near = log1p_(u + sqrt(u * (u + 2.0)));
  let y = select(near, log_(v) + 0.693147181, v > VF(1e9));
  return select(y, VF(not_a_number()), (v < VF(1.0)) | is_nan(v));
}
fn atanh_(v: VF) -> VF {
  let t = abs(v);
  let y = select(0.5 * log1p_(2.0 * t / (1.0 - t)), VF(infinity()), t == VF(1.0));
  return select(with_sign(y, v), VF(not_a_number()), (t > VF(1.0)) | is_nan(v));
}
fn sinh_(v: VF) -> VF {
  let t = min(abs(v), VF(90.0));
  let m = expm1_(min(t, VF(80.0)));
  let e = exp_(0.5 * t);
  let y = select(0.5 * (m + m / (m + 1.0)), 0.5 * e * e, t > VF(80.0));
  return select(with_sign(y, v), v, is_nan(v));
}
fn cosh_(v: VF) -> VF {
  let e = exp_(0.5 * min(abs(v), VF(90.0)));
  return select(0.5 * e * e + 0.5 / (e * e), v, is_nan(v));
}

// a^b through log2(|a|) and its product with b as sums of two floats, so that large exponents keep all digits.
fn pow_positive(a: VF, b: VF) -> VF {
  let l = reduce_log(a);
  let f = l.f;
  let d = 1.0 / (2.0 + f);
  let s = f * d;
  let s1 = head(s);
  let d1 = head(2.0 + f);
  let s2 = d * ((f - s1 * d1) - s1 * (f - (d1 - 2.0)));
  let z = s * s;
  let r = z * z * (0.6 + z * (0.428571429 + z * (0.333333333 + z * (0.272727273 + z * 0.230769231)))) + s2 * (s1 + s);
  let z1 = s1 * s1;
  let t1 = head(3.0 + z1 + r);
  let t2 = r - ((t1 - 3.0) - z1);
  let u = s1 * t1;
  let w = s2 * t1 + t2 * s;
  let p1 = head(u + w);
  let p2 = w - (p1 - u);
  let q1 = 0.961914062 * p1;  // 2 / (3 ln 2) = 0.961914062 - 0.000117368574
  let q2 = -0.000117368574 * p1 + p2 * 0.961796694;
  let log1 = head(q1 + q2 + l.n);
  let log2 = q2 - ((log1 - l.n) - q1);
  let b1 = head(b);
  let high = b1 * log1;
  let low = (b - b1) * log1 + b * log2;
  let total = clamp(high + low, VF(-200.0), VF(200.0));
  let n = round(total);
  let fraction = select((high - n) + low, VF(0.0), abs(total) >= VF(200.0));
  let e = reduce_exp(fraction * 0.693147181);
  let whole = VI(n) + e.n;
  let half = whole >> VU(1u);
  let y = (1.0 + e.m) * two_to(half) * two_to(whole - half);
  return select(y, VF(infinity()), total >= VF(128.0));
}
fn pow_(a: VF, b: VF) -> VF {
  let magnitude = abs(a);
  let power = clamp(b, VF(-4294967296.0), VF(4294967296.0));
  let whole = floor(power) == power;
  let odd = whole & (floor(power * 0.5) * 2.0 != power);
  var y = pow_positive(clamp(magnitude, VF(1.17549435e-38), VF(0x1.fffffep+127f)), power);
  y = select(y, select(VF(infinity()), VF(0.0), b > VF(0.0)), magnitude == VF(0.0));
  y = select(y, select(VF(0.0), VF(infinity()), b > VF(0.0)), magnitude > VF(0x1.fffffep+127f));
  y = select(y, -y, odd & (bitcast<VU>(a) >= VU(0x80000000u)));
  y = select(y, VF(not_a_number()), (a < VF(0.0)) & !whole & (magnitude <= VF(0x1.fffffep+127f)));
  y = select(y, VF(not_a_number()), is_nan(a) | is_nan(b));
  return select(y, VF(1.0), (b == VF(0.0)) | (a == VF(1.0)));
}
