// y[i] = activate(gate[i]) * up[i].   gate, up -> y    consts: ACTIVATE (code of activate)    params: size
fn y_at(i: u32) -> y_v { return activate(gate_get(i)) * up_get(i); }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  y_emit(group_index(group) * 64u + lane);
}
