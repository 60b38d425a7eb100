"""The text of a chain's kernel: one thread an element of the result.

A text is `CUDA` and a body that is also C: without `CUDA` and behind other macros the tests compile
the same body with a C compiler. It includes no headers, so NVRTC needs no CUDA toolkit. The number
of samples is an argument, so a short last batch runs the same kernel.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

from fastfeed.devices.transforms.draws import MIX
from fastfeed.devices.transforms.dtypes import c_type
from fastfeed.devices.transforms.mixup import c_mixed
from fastfeed.devices.transforms.op import Chain, Site

CUDA = """
#define INLINE static __device__ __forceinline__
#define KERNEL extern "C" __global__
#define THREAD (blockIdx.x * (i64)blockDim.x + threadIdx.x)
"""

NAME = "transform"
THREADS = 256
OPTIONS = ("--std=c++17", "--fmad=false")  # a fused multiply-add rounds once, NumPy twice
LARGEST_INT = 2**31 - 1

TYPES = """
typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
typedef u16 f16;  /* half and brain floats are held as their bits */
typedef u16 bf16;

#define SATURATED(x, type, low, high, limit) \\
  ((x) >= (limit) ? (high) : (x) <= (low) ? (low) : (x) == (x) ? (type)(x) : 0)
"""

SMALL_FLOATS = """
INLINE u32 bits_of(f32 value) {
  union { f32 value; u32 bits; } both;
  both.value = value;
  return both.bits;
}
INLINE f32 of_bits(u32 bits) {
  union { f32 value; u32 bits; } both;
  both.bits = bits;
  return both.value;
}
INLINE f32 bf16_to_f32(bf16 value) { return of_bits((u32)value << 16); }
INLINE bf16 f32_to_bf16(f32 value) {
  u32 bits = bits_of(value);
  if (value != value) return (bf16)(bits >> 16 | 0x7FC0);
  return (bf16)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
INLINE f32 f16_to_f32(f16 value) {
  u32 sign = (u32)(value & 0x8000) << 16, size = value & 0x7FFF;
  if (size < 0x400) return of_bits(sign | bits_of((f32)size * 0x1p-24f)); /* subnormal */
  if (size >= 0x7C00) return of_bits(sign | size << 13 | 0x7F800000);
  return of_bits(sign | ((size << 13) + 0x38000000));
}
INLINE f16 f32_to_f16(f32 value) {
  u32 bits = bits_of(value), sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
  if (size > 0x7F800000) return (f16)(sign | 0x7E00);
  if (size >= 0x47800000) return (f16)(sign | 0x7C00); /* 65536: infinity */
  if (size < 0x38800000) /* subnormal: their unit is the last bit of 0.5, so adding it rounds */
    return (f16)(sign | (bits_of(of_bits(size) + 0.5f) - bits_of(0.5f)));
  return (f16)(sign | (size - 0x38000000 + 0xFFF + (size >> 13 & 1)) >> 13);
}
"""


def kernel_text(chain: Chain, mix_samples: bool) -> str:
    """Return the kernel's text without `CUDA`."""
    lines, value = value_lines(chain)
    taken, given = (c_type(chain.forms[end].dtype) for end in (0, -1))
    parts = f"""
typedef {place_type(chain)} place;

INLINE {given} value_at(const {taken} *input, i64 sample, place at, u64 key) {{
  {lines}
  return {value};
}}

KERNEL void {NAME}(const {taken} *input, {given} *output, u64 key, i64 samples, f64 own, f64 other,
                   i64 shift) {{
  const i64 i = THREAD;
  if (i >= samples * {chain.result.sample_size}) return;
  const i64 sample = i / {chain.result.sample_size};
  const place at = (place)(i - sample * {chain.result.sample_size});
  const {given} v = value_at(input, sample, at, key);
  {mixing_lines(chain) if mix_samples else "output[i] = v;"}
}}
"""
    return TYPES + SMALL_FLOATS + MIX + parts


def mixing_lines(chain: Chain) -> str:
    """Return the statements that mix an element with its partner's."""
    dtype = chain.result.dtype
    return f"""const i64 next = sample + shift;
  const i64 rotated = next < samples ? next : next - samples;
  const {c_type(dtype)} partner = value_at(input, rotated, at, key);
  output[i] = {c_mixed(dtype)};"""


def place_type(chain: Chain) -> str:
    """Return the C type of a place in a sample: divisions of 64 bits cost much more."""
    largest = max(form.sample_size for form in chain.forms)
    return "i32" if largest <= LARGEST_INT else "i64"


def value_lines(chain: Chain) -> tuple[str, str]:
    """Return the statements that compute an element's value from its place, and its name."""
    lines, coordinates = divided(chain.result.shape[1:])
    sites = []
    for number in reversed(range(len(chain.ops))):
        site = Site(number, chain.forms[number], chain.forms[number + 1], coordinates)
        added, coordinates = chain.ops[number].locate(site)
        lines += added
        sites.append(site)
    first = chain.forms[0]
    place = joined(first.shape[1:], coordinates)
    lines.append(f"const {c_type(first.dtype)} v0 = input[sample * {first.sample_size} + {place}];")
    for op, site in zip(chain.ops, reversed(sites), strict=True):
        lines += op.compute(site, f"v{site.number}")
    return "\n  ".join(lines), f"v{len(chain.ops)}"


def divided(shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Return statements that split the place in a sample into coordinates, and their names."""
    lines, names = [], []
    for axis, extent in enumerate(shape):
        wrapped = f" % {extent}" if axis else ""
        lines.append(f"const place at{axis} = at / {prod(shape[axis + 1 :])}{wrapped};")
        names.append(f"at{axis}")
    return lines, names


def joined(shape: tuple[int, ...], coordinates: list[str]) -> str:
    """Return the C expression of the place in a sample of that shape."""
    place = "0"
    for extent, coordinate in zip(shape, coordinates, strict=True):
        place = coordinate if place == "0" else f"({place}) * {extent} + {coordinate}"
    return f"({place})"


@lru_cache(maxsize=256)
def compiled(text: str) -> Any:
    """Return the kernel of a text; CuPy compiles it when it is first launched on a device."""
    import cupy

    return cupy.RawKernel(CUDA + text, NAME, options=OPTIONS)
