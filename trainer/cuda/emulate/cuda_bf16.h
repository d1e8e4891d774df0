// The part of CUDA's header of this name that the kernels use: bf16 is the upper half of an f32.
#pragma once
#include <stdint.h>
#include <string.h>

struct __nv_bfloat16 {
    uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
    const uint32_t wide = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

// To nearest, ties to even; NaN stays NaN.
inline __nv_bfloat16 __float2bfloat16(float value) {
    uint32_t wide;
    memcpy(&wide, &value, 4);
    if (value != value) return {0x7fff};
    return {(uint16_t)((wide + 0x7fff + ((wide >> 16) & 1)) >> 16)};
}

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
