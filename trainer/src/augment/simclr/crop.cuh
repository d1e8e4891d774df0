// crop.rs on the device: a pixel of a box, resized to size x size.
#pragma once
#include <stdint.h>

struct CropBox {
    uint32_t top, left, height, width;
};

// As `Sampler` of parameters.rs.
struct Sampler {
    uint32_t height, width, size, channels;
    float pixels;
    float scale[2];
    float log_ratio[2];
    float flip_probability, jitter_probability, grey_probability;
    float lower[4], length[4];
    float blur_probability, sigma[2];
    uint32_t radius;
    CropBox fallback;
};

// A pixel, of three channels or of one.
struct Colour {
    float r, g, b;
};

struct Grey {
    float v;
};

template <typename Pixel> struct Channels;
template <> struct Channels<Colour> { static const uint32_t count = 3; };
template <> struct Channels<Grey> { static const uint32_t count = 1; };

struct Tap {
    uint32_t low, high;
    float weight_low, weight_high;
};

__device__ __forceinline__ Tap tap(uint32_t i, uint32_t input, uint32_t output) {
    const float step = (float)input / (float)output;
    float place = step * ((float)i + 0.5f) - 0.5f;
    place = place > 0.f ? place : 0.f;
    uint32_t low = (uint32_t)place;
    low = low < input - 1 ? low : input - 1;
    const uint32_t high = low + 1 < input - 1 ? low + 1 : input - 1;
    float weight = place - (float)low;
    weight = weight < 1.f ? weight : 1.f;
    return {low, high, 1.f - weight, weight};
}

// One channel of a pixel of `channels`: both rows along x, then along y.
__device__ __forceinline__ float mix(const uint8_t *low, const uint8_t *high, const Tap &x, const Tap &y, uint32_t channels, uint32_t channel) {
    const uint32_t left = channels * x.low + channel, right = channels * x.high + channel;
    const float upper = (float)low[left] * x.weight_low + (float)low[right] * x.weight_high;
    const float lower = (float)high[left] * x.weight_low + (float)high[right] * x.weight_high;
    return (upper * y.weight_low + lower * y.weight_high) / 255.f;
}

__device__ __forceinline__ void mix(const uint8_t *low, const uint8_t *high, const Tap &x, const Tap &y, Colour &c) {
    c = {mix(low, high, x, y, 3, 0), mix(low, high, x, y, 3, 1), mix(low, high, x, y, 3, 2)};
}

__device__ __forceinline__ void mix(const uint8_t *low, const uint8_t *high, const Tap &x, const Tap &y, Grey &c) {
    c = {mix(low, high, x, y, 1, 0)};
}

// Where an output pixel comes from along one axis of a box that is larger than the view along at least one: `count`
// input pixels, whose weighted sum is multiplied by `norm`.
struct Axis {
    bool reduces;
    Tap enlarged;
    uint32_t first, count;
    float centre, inverse, norm;

    __device__ __forceinline__ Axis(uint32_t i, uint32_t input, uint32_t output) {
        reduces = input > output;
        norm = 1.f;
        if (!reduces) {
            enlarged = tap(i, input, output);
            count = 2;
            return;
        }
        const float step = (float)input / (float)output;
        inverse = (float)output / (float)input;
        centre = step * ((float)i + 0.5f);
        const float start = centre - step + 0.5f;
        first = start > 0.f ? (uint32_t)start : 0;
        const uint32_t last = (uint32_t)(centre + step + 0.5f);
        count = (last < input ? last : input) - first;
        float sum = 0.f;
        for (uint32_t k = 0; k < count; k++) sum += weight(k);
        norm = 1.f / sum;
    }

    __device__ __forceinline__ uint32_t place(uint32_t k) const {
        if (reduces) return first + k;
        return k == 0 ? enlarged.low : enlarged.high;
    }

    __device__ __forceinline__ float weight(uint32_t k) const {
        if (!reduces) return k == 0 ? enlarged.weight_low : enlarged.weight_high;
        const float distance = fabsf(((float)(first + k) - centre + 0.5f) * inverse);
        return distance < 1.f ? 1.f - distance : 0.f;
    }
};

// sum += weight * pixel
__device__ __forceinline__ void add(Colour &sum, const uint8_t *pixel, float weight) {
    sum.r += (float)pixel[0] * weight;
    sum.g += (float)pixel[1] * weight;
    sum.b += (float)pixel[2] * weight;
}
__device__ __forceinline__ void add(Colour &sum, const Colour &c, float weight) {
    sum.r += c.r * weight;
    sum.g += c.g * weight;
    sum.b += c.b * weight;
}
__device__ __forceinline__ void add(Grey &sum, const uint8_t *pixel, float weight) { sum.v += (float)pixel[0] * weight; }
__device__ __forceinline__ void add(Grey &sum, const Grey &c, float weight) { sum.v += c.v * weight; }

__device__ __forceinline__ Colour scaled(const Colour &c, float factor) { return {c.r * factor, c.g * factor, c.b * factor}; }
__device__ __forceinline__ Grey scaled(const Grey &c, float factor) { return {c.v * factor}; }
__device__ __forceinline__ Colour of_bytes(const Colour &c) { return {c.r / 255.f, c.g / 255.f, c.b / 255.f}; }
__device__ __forceinline__ Grey of_bytes(const Grey &c) { return {c.v / 255.f}; }

// The pixel of the resized box.
template <typename Pixel>
__device__ __forceinline__ Pixel crop(const Sampler &s, const CropBox &box, bool flip, const uint8_t *image, uint32_t row, uint32_t column) {
    const uint32_t channels = Channels<Pixel>::count, line = channels * s.width;
    const uint8_t *corner = image + box.top * line + channels * box.left;
    if (flip) column = s.size - 1 - column;
    if (box.height <= s.size && box.width <= s.size) {
        const Tap y = tap(row, box.height, s.size), x = tap(column, box.width, s.size);
        Pixel found;
        mix(corner + y.low * line, corner + y.high * line, x, y, found);
        return found;
    }
    const Axis y(row, box.height, s.size), x(column, box.width, s.size);
    Pixel sum = {};
    for (uint32_t i = 0; i < y.count; i++) {
        const uint8_t *source = corner + y.place(i) * line;
        Pixel along = {};
        for (uint32_t k = 0; k < x.count; k++) add(along, source + channels * x.place(k), x.weight(k));
        add(sum, scaled(along, x.norm), y.weight(i));
    }
    return of_bytes(scaled(sum, y.norm));
}
