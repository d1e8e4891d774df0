// Philox4x32-10 on the device: the same words as measure/src/rng/philox.rs, which has formulas and source.
#pragma once
#include <stdint.h>

struct Words {
    uint32_t word[4];
};

// Key and step of a stream of random numbers; `purpose` stands in the upper 8 of its 32 bits. Laid out as in cuda.rs.
struct Counter {
    uint32_t key[2];
    uint32_t purpose;
    uint32_t step;
};

__device__ __forceinline__ Words philox4x32(const uint32_t (&counter)[4], const uint32_t (&key)[2]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Four random words of a view (below 2^24, or it would run into the next purpose) of an image; `block` counts such
// foursomes from 0.
__device__ __forceinline__ Words draw(const Counter &counter, uint32_t image, uint32_t view, uint32_t block) {
    return philox4x32({block, counter.purpose + view, image, counter.step}, counter.key);
}

// In [0, 1): the upper 24 bits, exact.
__device__ __forceinline__ float unit(uint32_t word) { return (float)(word >> 8) * (1.f / 16777216.f); }

// One of 0, ..., n - 1.
__device__ __forceinline__ uint32_t below(uint32_t word, uint32_t n) { return (uint32_t)(((uint64_t)word * n) >> 32); }
