// The smallest and largest value of a workgroup of 256 threads; every thread calls it.
var<workgroup> ranges: array<vec2<f32>, 256>;

fn group_range(lane: u32, range: vec2<f32>) -> vec2<f32> {
  ranges[lane] = range;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = ranges[lane + half];
      ranges[lane] = vec2(min(ranges[lane].x, other.x), max(ranges[lane].y, other.y));
    }
  }
  return workgroupUniformLoad(&ranges[0]);
}
