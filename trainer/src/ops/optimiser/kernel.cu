// One optimiser step over flat f32 parameters w [P] with gradient g and state v, m:
//
//   SGD    u = g + lambda·w;  v <- mu·v + u;  w <- w - rate·v
//   LARS   in adapted segments u = (g + lambda·w)·trust·|w| / (|g| + lambda·|w| + 1e-8),
//          or u = g where |w| or |g| is 0; then as SGD
//   AdamW  w <- w - rate·lambda·w;  m <- b1·m + (1-b1)·g;  v <- b2·v + (1-b2)·g^2;
//          w <- w - rate/c1·m / (sqrt(v/c2) + eps)
//
// lambda is 0 in segments that do not decay; c1 = 1 - b1^step, c2 = 1 - b2^step. Rates and the like are read from a
// device buffer, so that a captured CUDA graph can be replayed with new ones. `half`, where given, receives w in bf16;
// `half_gradient` [P], where given, holds in bf16 the gradient of the segments that say so.
//
// segments [S, 6] = start, length, flags, first block, number of blocks, elements of a block (a multiple of 4);
// blocks [B] = the segment of each block, in order. Grid [B], at most 256 threads.
#include "../kernel.cuh"

const uint64_t DECAYS = 1, ADAPTS = 2, HALF_GRADIENT = 4;
const int BLOCK = 256;
// Places in the buffer of settings. REST is 1 - beta, taken in f64: 1 - 0.999 in f32 would be off by 1.3e-5 of itself.
enum { RATE, DECAY, MOMENTUM, TRUST, BETA1 = 2, BETA2 = 3, EPSILON = 4, CORRECTION1 = 5, CORRECTION2 = 6, REST1 = 7, REST2 = 8 };

// What a block treats: elements [begin, end) of w, in a segment of `blocks` blocks from `first` on.
struct Share {
    uint64_t begin, end, flags, first, blocks;
};

__device__ __forceinline__ Share share_of_block(const uint64_t *segments, const uint32_t *blocks) {
    const uint64_t *segment = segments + 6 * blocks[blockIdx.x];
    const uint64_t end = segment[0] + segment[1], begin = segment[0] + (blockIdx.x - segment[3]) * segment[5];
    return {begin, begin + segment[5] < end ? begin + segment[5] : end, segment[2], segment[3], segment[4]};
}

// The gradient of a share, of either type.
struct Gradient {
    const float *single;
    const bf16 *half;
    __device__ __forceinline__ Gradient(const float *gradient, const bf16 *half_gradient, const Share &share)
        : single(gradient), half(share.flags & HALF_GRADIENT ? half_gradient : nullptr) {}
    template <int V> __device__ __forceinline__ Pack<float, V> at(uint64_t place) const {
        if (!half) return load<float, V>(single + place);
        const Pack<bf16, V> pack = load<bf16, V>(half + place);
        Pack<float, V> wide;
        for (int v = 0; v < V; v++) wide.set(v, pack[v]);
        return wide;
    }
};

__device__ __forceinline__ bool aligned(const void *pointer) { return (uintptr_t)pointer % 16 == 0; }

// Calls treat(count, place) for the elements of a share: four at a time where `packed` allows it and the share begins at
// a multiple of four.
template <typename Treat> __device__ __forceinline__ void for_elements(const Share &share, bool packed, const Treat &treat) {
    const uint64_t rest = packed && share.begin % 4 == 0 ? share.end - (share.end - share.begin) % 4 : share.begin;
    for (uint64_t k = share.begin + 4 * threadIdx.x; k < rest; k += 4 * blockDim.x) treat(Count<4>(), k);
    for (uint64_t k = rest + threadIdx.x; k < share.end; k += blockDim.x) treat(Count<1>(), k);
}

// Writes the settings: launched before a step, never recorded with it.
extern "C" __global__ void optimiser_set(float *settings, float s0, float s1, float s2, float s3, float s4, float s5, float s6, float s7,
                                         float s8) {
    const float values[] = {s0, s1, s2, s3, s4, s5, s6, s7, s8};
    for (int i = 0; i < 9; i++) settings[i] = values[i];
}

// partial[B, 2] = sums of w^2 and g^2 over the share of each block; segments that do not adapt are left out.
extern "C" __global__ void optimiser_square_sums(const float *weights, const float *gradient, const bf16 *half_gradient,
                                                 const uint64_t *segments, const uint32_t *blocks, float *partial) {
    const Share share = share_of_block(segments, blocks);
    if (!(share.flags & ADAPTS)) return;
    const Gradient gradients(gradient, half_gradient, share);
    float of_weights = 0.f, of_gradient = 0.f;
    for_elements(share, aligned(weights) && aligned(gradient) && aligned(half_gradient), [&](auto count, uint64_t place) {
        const auto w = load<float, count.value>(weights + place), g = gradients.template at<count.value>(place);
        for (int v = 0; v < count.value; v++) {
            of_weights += w[v] * w[v];
            of_gradient += g[v] * g[v];
        }
    });
    of_weights = block_sum<BLOCK>(of_weights);
    of_gradient = block_sum<BLOCK>(of_gradient);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = of_weights;
        partial[2 * blockIdx.x + 1] = of_gradient;
    }
}

// SGD, and LARS where `partial` holds the sums of the kernel above, made with the same grid.
extern "C" __global__ void optimiser_momentum(float *weights, float *velocity, const float *gradient, const bf16 *half_gradient,
                                              const uint64_t *segments, const uint32_t *blocks, const float *settings, const float *partial,
                                              bf16 *half) {
    const Share share = share_of_block(segments, blocks);
    const Gradient gradients(gradient, half_gradient, share);
    const float rate = settings[RATE], momentum = settings[MOMENTUM];
    float scale = 1.f, decay = share.flags & DECAYS ? settings[DECAY] : 0.f;
    if (partial && (share.flags & ADAPTS)) {
        // Every block adds the same numbers in the same order: cheaper than one more kernel.
        float of_weights = 0.f, of_gradient = 0.f;
        for (uint64_t b = threadIdx.x; b < share.blocks; b += blockDim.x) {
            of_weights += partial[2 * (share.first + b)];
            of_gradient += partial[2 * (share.first + b) + 1];
        }
        of_weights = sqrtf(block_sum<BLOCK>(of_weights));
        of_gradient = sqrtf(block_sum<BLOCK>(of_gradient));
        if (of_weights == 0.f || of_gradient == 0.f) decay = 0.f; // as in apex; a NaN is not 0 and goes on
        else scale = settings[TRUST] * of_weights / (of_gradient + decay * of_weights + 1e-8f);
    }
    const bool packed = aligned(weights) && aligned(velocity) && aligned(gradient) && aligned(half_gradient) && aligned(half);
    for_elements(share, packed, [&](auto count, uint64_t place) {
        auto w = load<float, count.value>(weights + place), u = load<float, count.value>(velocity + place);
        const auto g = gradients.template at<count.value>(place);
        Pack<bf16, count.value> narrow = {};
        for (int v = 0; v < count.value; v++) {
            u.set(v, momentum * u[v] + (g[v] + decay * w[v]) * scale);
            w.set(v, w[v] - rate * u[v]);
            narrow.set(v, w[v]);
        }
        store(velocity + place, u);
        store(weights + place, w);
        if (half) store(half + place, narrow);
    });
}

extern "C" __global__ void optimiser_adamw(float *weights, float *first, float *second, const float *gradient, const bf16 *half_gradient,
                                           const uint64_t *segments, const uint32_t *blocks, const float *settings, bf16 *half) {
    const Share share = share_of_block(segments, blocks);
    const Gradient gradients(gradient, half_gradient, share);
    const float rate = settings[RATE], decay = share.flags & DECAYS ? settings[DECAY] : 0.f, beta1 = settings[BETA1], beta2 = settings[BETA2];
    const float rest1 = settings[REST1], rest2 = settings[REST2];
    const float epsilon = settings[EPSILON], size = rate / settings[CORRECTION1], root = sqrtf(settings[CORRECTION2]);
    const bool packed =
        aligned(weights) && aligned(first) && aligned(second) && aligned(gradient) && aligned(half_gradient) && aligned(half);
    for_elements(share, packed, [&](auto count, uint64_t place) {
        auto w = load<float, count.value>(weights + place), m = load<float, count.value>(first + place);
        auto s = load<float, count.value>(second + place);
        const auto g = gradients.template at<count.value>(place);
        Pack<bf16, count.value> narrow = {};
        for (int v = 0; v < count.value; v++) {
            m.set(v, beta1 * m[v] + rest1 * g[v]);
            s.set(v, beta2 * s[v] + rest2 * g[v] * g[v]);
            w.set(v, w[v] - rate * decay * w[v] - size * m[v] / (sqrtf(s[v]) / root + epsilon));
            narrow.set(v, w[v]);
        }
        store(first + place, m);
        store(second + place, s);
        store(weights + place, w);
        if (half) store(half + place, narrow);
    });
}
