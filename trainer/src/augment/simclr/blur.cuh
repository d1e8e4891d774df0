// blur.rs on the device: the weights of a Gaussian blur, and weighted sums of pairs.
#pragma once
#include <stdint.h>

const uint32_t MOST_RADIUS = 4096 / 10 / 2;
const float LEAST_WEIGHT = 1.f / (1 << 27), LEAST_EXPONENT = -20.f;

// w_0, w_1, ... of distances that count; the largest of them is returned.
__device__ __forceinline__ uint32_t blur_weights(uint32_t radius, float sigma, float *weights) {
    uint32_t reach = 0;
    float sum = 1.f;
    weights[0] = 1.f;
    for (uint32_t distance = 1; distance <= radius; distance++) {
        const float ratio = (float)distance / sigma, exponent = -0.5f * (ratio * ratio);
        const float weight = exponent < LEAST_EXPONENT ? 0.f : exponential(exponent);
        if (weight < LEAST_WEIGHT) break;
        weights[distance] = weight;
        sum += 2.f * weight;
        reach = distance;
    }
    for (uint32_t distance = 0; distance <= reach; distance++) weights[distance] /= sum;
    return reach;
}

// A place before or behind a row of n pixels, mirrored at its ends.
__device__ __forceinline__ uint32_t mirrored(int place, uint32_t n) {
    if (place < 0) return -place;
    return (uint32_t)place < n ? place : 2 * (n - 1) - place;
}
