// nvcc: -fmad=false
//
// Views of images, one block of 256 threads per view: images u8 [N, H, W, C] -> out [views * count, size, size, C], f32
// or bf16, C = 3 or 1.
//
// parameters.rs, crop.rs, cpu.rs and blur.rs, line by line: every number comes from the same IEEE operations in the same
// order, so f32 views have the bits of the CPU. This needs that products and sums are not contracted (-fmad=false) and
// that division and square root are exact to the last bit (nvcc's default).
//
// Contrast needs the mean of the image as it is just before that part. Rather than keep the image, which for large
// views would not fit in shared memory, each thread computes its pixels twice, once for the mean and once for the
// result; an image is read from the L1 cache and a view costs some hundred operations a pixel, less than writing it. A
// view that is blurred is first blurred along its rows into `scratch`, in f32.
#include "../../ops/philox.cuh"
#include "crop.cuh"
#include <cuda_bf16.h>
#include <stdint.h>

const unsigned LANES = 256;
const uint32_t ATTEMPTS = 10;
enum Part { BRIGHTNESS, CONTRAST, SATURATION, HUE };

struct Parameters {
    CropBox crop;
    bool flip, jitter, grey;
    float factors[4];
    uint32_t order[4];
    float sigma; // of the blur; 0: none
};

__device__ __forceinline__ float exponential(float t) {
    const int k = (int)(t * 1.4426950408889634f + (t < 0.f ? -0.5f : 0.5f));
    const float y = (t - (float)k * 0.6933594f) - (float)k * -2.1219444e-4f;
    float e = 1.f / 5040.f;
    e = e * y + 1.f / 720.f;
    e = e * y + 1.f / 120.f;
    e = e * y + 1.f / 24.f;
    e = e * y + 1.f / 6.f;
    e = e * y + 0.5f;
    e = e * y + 1.f;
    e = e * y + 1.f;
    return ldexpf(e, k);
}

#include "blur.cuh" // needs the exponential

__device__ __forceinline__ CropBox draw_crop(const Sampler &s, const Counter &counter, uint32_t image, uint32_t view) {
    for (uint32_t attempt = 0; attempt < ATTEMPTS; attempt++) {
        const Words words = draw(counter, image, view, 2 + attempt);
        const float area = s.pixels * (s.scale[0] + s.scale[1] * unit(words.word[0]));
        const float ratio = exponential(s.log_ratio[0] + s.log_ratio[1] * unit(words.word[1]));
        const uint32_t width = (uint32_t)rintf(sqrtf(area * ratio));
        const uint32_t height = (uint32_t)rintf(sqrtf(area / ratio));
        if (width >= 1 && width <= s.width && height >= 1 && height <= s.height)
            return {below(words.word[2], s.height - height + 1), below(words.word[3], s.width - width + 1), height, width};
    }
    return s.fallback;
}

__device__ __forceinline__ Parameters draw_parameters(const Sampler &s, const Counter &counter, uint32_t image, uint32_t view) {
    Parameters p;
    const Words choices = draw(counter, image, view, 0), strengths = draw(counter, image, view, 1);
    p.flip = unit(choices.word[0]) < s.flip_probability;
    p.jitter = unit(choices.word[1]) < s.jitter_probability;
    p.grey = unit(choices.word[2]) < s.grey_probability;
    for (int i = 0; i < 4; i++) {
        p.factors[i] = s.lower[i] + s.length[i] * unit(strengths.word[i]);
        p.order[i] = i;
    }
    const uint32_t number = below(choices.word[3], 24);
    const uint32_t digits[3] = {number / 6, number / 2 % 3, number % 2};
    for (uint32_t place = 0; place < 3; place++) {
        const uint32_t next = p.order[place + digits[place]];
        for (uint32_t i = place + digits[place]; i > place; i--) p.order[i] = p.order[i - 1];
        p.order[place] = next;
    }
    p.crop = draw_crop(s, counter, image, view);
    p.sigma = 0.f;
    if (s.blur_probability > 0.f) {
        const Words blur = draw(counter, image, view, 2 + ATTEMPTS);
        if (unit(blur.word[0]) < s.blur_probability) p.sigma = s.sigma[0] + s.sigma[1] * unit(blur.word[1]);
    }
    return p;
}

__device__ __forceinline__ float clamp(float v) {
    v = v > 0.f ? v : 0.f;
    return v < 1.f ? v : 1.f;
}

__device__ __forceinline__ float grey(const Colour &c) { return 0.2989f * c.r + 0.587f * c.g + 0.114f * c.b; }
__device__ __forceinline__ float grey(const Grey &c) { return c.v; }

__device__ __forceinline__ Colour brighten(const Colour &c, float factor) { return {clamp(factor * c.r), clamp(factor * c.g), clamp(factor * c.b)}; }
__device__ __forceinline__ Grey brighten(const Grey &c, float factor) { return {clamp(factor * c.v)}; }

__device__ __forceinline__ Colour blend(const Colour &c, float factor, float term) {
    return {clamp(factor * c.r + term), clamp(factor * c.g + term), clamp(factor * c.b + term)};
}

__device__ __forceinline__ Grey blend(const Grey &c, float factor, float term) { return {clamp(factor * c.v + term)}; }

// A grey image has neither saturation nor hue.
__device__ __forceinline__ Colour saturate(const Colour &c, float factor) { return blend(c, factor, (1.f - factor) * grey(c)); }
__device__ __forceinline__ Grey saturate(const Grey &c, float factor) { return c; }

__device__ __forceinline__ float wrap(float x) { return x >= 1.f ? x - 1.f : x; }

__device__ __forceinline__ Colour turn_hue(float shift, const Colour &c) {
    const float larger = c.r > c.g ? c.r : c.g, smaller = c.r < c.g ? c.r : c.g;
    const float value = larger > c.b ? larger : c.b;
    const float range = value - (smaller < c.b ? smaller : c.b);
    const bool flat = range == 0.f;
    const float divisor = flat ? 1.f : range;
    const float saturation = range / (flat ? 1.f : value);
    const float rc = (value - c.r) / divisor, gc = (value - c.g) / divisor, bc = (value - c.b) / divisor;
    const float sixths = value == c.r ? bc - gc : value == c.g ? 2.f + rc - bc : 4.f + gc - rc;
    const float turned = wrap(sixths / 6.f + 1.f) + shift;
    const float scaled = wrap(turned < 0.f ? turned + 1.f : turned) * 6.f;
    const int sector = (int)scaled;
    const float f = scaled - (float)sector;
    const float p = clamp(value * (1.f - saturation));
    const float q = clamp(value * (1.f - saturation * f));
    const float t = clamp(value * (1.f - saturation * (1.f - f)));
    switch (sector) {
    case 1: return {q, value, p};
    case 2: return {p, value, t};
    case 3: return {p, q, value};
    case 4: return {t, p, value};
    case 5: return {value, p, q};
    default: return {value, t, p};
    }
}

__device__ __forceinline__ Grey turn_hue(float shift, const Grey &c) { return c; }

// The first `parts` parts of the jitter; `contrast` is (1 - f) times the mean.
template <typename Pixel> __device__ __forceinline__ Pixel jitter(Pixel c, const Parameters &p, uint32_t parts, float contrast) {
    for (uint32_t place = 0; place < parts; place++) {
        const uint32_t part = p.order[place];
        const float factor = p.factors[part];
        if (part == BRIGHTNESS) {
            c = brighten(c, factor);
        } else if (part == CONTRAST) {
            if (factor != 1.f) c = blend(c, factor, contrast);
        } else if (part == SATURATION) {
            c = saturate(c, factor);
        } else if (factor != 0.f) {
            c = turn_hue(factor, c);
        }
    }
    return c;
}

__device__ __forceinline__ Colour without_colour(const Colour &c) {
    const float g = grey(c);
    return {g, g, g};
}
__device__ __forceinline__ Grey without_colour(const Grey &c) { return c; }

__device__ __forceinline__ Colour nowhere(const Colour &, float nan) { return {nan, nan, nan}; }
__device__ __forceinline__ Grey nowhere(const Grey &, float nan) { return {nan}; }

__device__ __forceinline__ void store(float *out, const Grey &c) { out[0] = c.v; }
__device__ __forceinline__ void store(__nv_bfloat16 *out, const Grey &c) { out[0] = __float2bfloat16(c.v); }

__device__ __forceinline__ void store(float *out, const Colour &c) {
    out[0] = c.r;
    out[1] = c.g;
    out[2] = c.b;
}

__device__ __forceinline__ void store(__nv_bfloat16 *out, const Colour &c) {
    out[0] = __float2bfloat16(c.r);
    out[1] = __float2bfloat16(c.g);
    out[2] = __float2bfloat16(c.b);
}

// The pixel before the blur; `contrast` as for `jitter`.
template <typename Pixel>
__device__ __forceinline__ Pixel unblurred(const Sampler &s, const Parameters &p, const uint8_t *image, float contrast, uint32_t row, uint32_t column) {
    const Pixel c = jitter(crop<Pixel>(s, p.crop, p.flip, image, row, column), p, p.jitter ? 4 : 0, contrast);
    return p.grey ? without_colour(c) : c;
}

// Parts of rows of a view, as long as the block and mirrored ends, are blurred into `scratch` [size, size, C]; then its
// columns into `view`.
template <typename Pixel, typename T>
__device__ __forceinline__ void blur_view(const Sampler &s, const Parameters &p, const uint8_t *image, float contrast, const float *weights,
                                          uint32_t reach, float *scratch, T *view) {
    const uint32_t channels = Channels<Pixel>::count, thread = threadIdx.x;
    __shared__ float part[channels * (LANES + 2 * MOST_RADIUS)];
    for (uint32_t row = 0; row < s.size; row++) {
        for (uint32_t start = 0; start < s.size; start += LANES) {
            const uint32_t length = s.size - start < LANES ? s.size - start : LANES;
            for (uint32_t i = thread; i < length + 2 * reach; i += LANES) {
                const uint32_t column = mirrored((int)(start + i) - (int)reach, s.size);
                store(part + channels * i, unblurred<Pixel>(s, p, image, contrast, row, column));
            }
            __syncthreads();
            if (thread < length) {
                for (uint32_t c = 0; c < channels; c++) {
                    const float *centre = part + channels * (thread + reach) + c;
                    float sum = centre[0] * weights[0];
                    for (uint32_t d = 1; d <= reach; d++) sum += (*(centre - channels * d) + centre[channels * d]) * weights[d];
                    scratch[(uint64_t)channels * (row * s.size + start + thread) + c] = sum;
                }
            }
            __syncthreads(); // the block sees what it wrote to `scratch`; `part` is free
        }
    }
    for (uint32_t pixel = thread; pixel < s.size * s.size; pixel += LANES) {
        const uint32_t row = pixel / s.size, column = pixel % s.size;
        float sums[channels];
        for (uint32_t c = 0; c < channels; c++) {
            const float *top = scratch + channels * column + c;
            float sum = top[channels * s.size * row] * weights[0];
            for (uint32_t d = 1; d <= reach; d++) {
                const uint32_t above = mirrored((int)row - (int)d, s.size), below = mirrored((int)(row + d), s.size);
                sum += (top[channels * s.size * above] + top[channels * s.size * below]) * weights[d];
            }
            sums[c] = sum < 1.f ? sum : 1.f;
        }
        for (uint32_t c = 0; c < channels; c++) store(view + channels * pixel + c, Grey{sums[c]});
    }
}

template <typename Pixel, typename T>
__device__ __forceinline__ void make_view(const uint8_t *images, uint32_t num_images, const uint32_t *indices, uint32_t count,
                                          const Sampler &s, const Counter &counter, T *out, float *scratch) {
    __shared__ Parameters p;
    __shared__ float partial[LANES], weights[MOST_RADIUS + 1];
    __shared__ uint32_t reach;
    const uint32_t thread = threadIdx.x, pixels = s.size * s.size, channels = Channels<Pixel>::count;
    const uint32_t index = indices[blockIdx.x % count];
    T *view = out + (uint64_t)blockIdx.x * (channels * pixels);
    if (index >= num_images) { // a whole block takes this way; its views are not numbers
        const float nan = 0.f / 0.f;
        for (uint32_t pixel = thread; pixel < pixels; pixel += LANES) store(view + channels * pixel, nowhere(Pixel(), nan));
        return;
    }
    const uint8_t *image = images + (uint64_t)index * (channels * s.height * s.width);
    if (thread == 0) {
        p = draw_parameters(s, counter, index, blockIdx.x / count);
        reach = p.sigma > 0.f ? blur_weights(s.radius, p.sigma, weights) : 0;
    }
    __syncthreads();
    float contrast = 0.f;
    if (p.jitter && p.factors[CONTRAST] != 1.f) {
        uint32_t before = 0;
        while (p.order[before] != CONTRAST) before++;
        float sum = 0.f;
        for (uint32_t pixel = thread; pixel < pixels; pixel += LANES)
            sum += grey(jitter(crop<Pixel>(s, p.crop, p.flip, image, pixel / s.size, pixel % s.size), p, before, 0.f));
        partial[thread] = sum;
        __syncthreads();
        for (uint32_t half = LANES / 2; half > 0; half /= 2) {
            if (thread < half) partial[thread] += partial[thread + half];
            __syncthreads();
        }
        contrast = (1.f - p.factors[CONTRAST]) * (partial[0] / (float)pixels);
    }
    if (reach > 0) {
        blur_view<Pixel>(s, p, image, contrast, weights, reach, scratch + (uint64_t)blockIdx.x * (channels * pixels), view);
        return;
    }
    for (uint32_t pixel = thread; pixel < pixels; pixel += LANES)
        store(view + channels * pixel, unblurred<Pixel>(s, p, image, contrast, pixel / s.size, pixel % s.size));
}

template <typename T>
__device__ __forceinline__ void make_views(const uint8_t *images, uint32_t num_images, const uint32_t *indices, uint32_t count,
                                          const Sampler &s, const Counter &counter, T *out, float *scratch) {
    if (s.channels == 1) {
        make_view<Grey, T>(images, num_images, indices, count, s, counter, out, scratch);
    } else {
        make_view<Colour, T>(images, num_images, indices, count, s, counter, out, scratch);
    }
}

// Grid: views * count blocks; block: LANES threads. Views of an index outside the data set are NaN. `scratch`, as many numbers
// as `out`, is used where views may be blurred.
extern "C" __global__ void augment_simclr_f32(const uint8_t *images, uint32_t num_images, const uint32_t *indices, uint32_t count, Sampler s,
                                              Counter counter, float *out, float *scratch) {
    make_views(images, num_images, indices, count, s, counter, out, scratch);
}

extern "C" __global__ void augment_simclr_bf16(const uint8_t *images, uint32_t num_images, const uint32_t *indices, uint32_t count, Sampler s,
                                               Counter counter, __nv_bfloat16 *out, float *scratch) {
    make_views(images, num_images, indices, count, s, counter, out, scratch);
}
