// What tasks of one dispatch hand on to each other: x of product 1 (k1 numbers) and of product 2 (k2), in digits. A word is
// never 0, which stands for what is not there yet. Behind HEAD words lie two buffers; zeros are in both before the first
// dispatch. A dispatch fills one of them, and whoever hands on clears the same words of the other one for the next dispatch.
//   exchange (atomic words)
//   consts: LOAD_HOISTED    params: k1, k2
const HEAD = 64u;
const MESSAGE = 5u;          // words of a unit of 8 numbers: its digits, and a number
const SIGNS = 0x80808080u;
const PATIENCE = 16777216u;  // looks at words, some seconds: where started workgroups do not go on, results become NaN

// Where the units of product p's x begin in a buffer.
fn buffer_of(p: u32, buffer: u32) -> u32 {
  return HEAD + (buffer * (params.k1 + params.k2) + select(0u, params.k1, p == 2u)) / 8u * MESSAGE;
}

fn units_of(p: u32) -> u32 { return select(params.k1, params.k2, p == 2u) / 8u; }

// No high digit is -128, so that only four low ones may change, by one unit.
fn encode_digits(d: vec4<u32>) -> vec4<u32> { return max(d ^ vec4(SIGNS), vec4(1u)); }
fn decode_digits(v: vec4<u32>) -> vec4<u32> { return v ^ vec4(SIGNS); }
// Only a NaN has the bits whose complement is 0, and reading 0 gives it.
fn encode_number(v: f32) -> u32 { return max(~bitcast<u32>(v), 1u); }
fn decode_number(v: u32) -> f32 { return bitcast<f32>(~v); }

fn peek(at: u32) -> u32 {
#if LOAD_HOISTED
  return atomicOr(&exchange[at], 0u);  // llvmpipe moves an atomicLoad out of the loop that waits for its change
#else
  return atomicLoad(&exchange[at]);
#endif
}

struct Message { digits: vec4<u32>, number: u32 }

// The words of a unit lie `units` apart, so that neighbouring lanes read neighbours.
fn message_at(first: u32, units: u32, i: u32) -> Message {
  let at = first + i;
  return Message(vec4(peek(at), peek(at + units), peek(at + 2u * units), peek(at + 3u * units)), peek(at + 4u * units));
}

fn is_there(m: Message) -> bool { return all(m.digits != vec4(0u)) && m.number != 0u; }
