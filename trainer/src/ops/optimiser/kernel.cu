// One optimiser step over flat f32 parameters w [P] with gradient g and state v, m:
//
//   SGD    u = g + lambda·w;  v <- mu·v + u;  w <- w - rate·v
//   LARS   in adapted segments u = (g + lambda·w)·trust·|w| / (|g| + lambda·|w| + 1e-8),
//          or u = g where |w| or |g| is 0; then as SGD
//   AdamW  w <- w - rate·lambda·w;  m <- b1·m + (1-b1)·g;  v <- b2·v + (1-b2)·g^2;
//          w <- w - rate/c1·m / (sqrt(v/c2) + eps)
//
// lambda is 0 in segments that do not decay; c1 = 1 - b1^step, c2 = 1 - b2^step. Rates and the like are read from a
// device buffer, so that a captured CUDA graph can be replayed with new ones. `half`, where given, receives w in bf16.
//
// segments [S, 3] = start, length, flags (1: decays, 2: adapts). Grid [blocks, S], 256 threads: blocks share out one
// segment.
#include "../kernel.cuh"

const uint64_t DECAYS = 1, ADAPTS = 2;
const int BLOCK = 256;
// Places in the buffer of settings. REST is 1 - beta, taken in f64: 1 - 0.999 in f32 would be off by 1.3e-5 of itself.
enum { RATE, DECAY, MOMENTUM, TRUST, BETA1 = 2, BETA2 = 3, EPSILON = 4, CORRECTION1 = 5, CORRECTION2 = 6, REST1 = 7, REST2 = 8 };

// Writes the settings: launched before a step, never recorded with it.
extern "C" __global__ void optimiser_set(float *settings, float s0, float s1, float s2, float s3, float s4, float s5, float s6, float s7,
                                         float s8) {
    const float values[] = {s0, s1, s2, s3, s4, s5, s6, s7, s8};
    for (int i = 0; i < 9; i++) settings[i] = values[i];
}

// partial[S, blocks, 2] = sums of w^2 and g^2 over the share of each block; segments that do not adapt are left out.
extern "C" __global__ void optimiser_square_sums(const float *weights, const float *gradient, const uint64_t *segments, float *partial) {
    const uint64_t *segment = segments + 3 * blockIdx.y;
    if (!(segment[2] & ADAPTS)) return;
    const float *w = weights + segment[0], *g = gradient + segment[0];
    float of_weights = 0.f, of_gradient = 0.f;
    for (uint64_t k = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; k < segment[1]; k += (uint64_t)gridDim.x * blockDim.x) {
        of_weights += w[k] * w[k];
        of_gradient += g[k] * g[k];
    }
    of_weights = block_sum<BLOCK>(of_weights);
    of_gradient = block_sum<BLOCK>(of_gradient);
    if (threadIdx.x == 0) {
        float *out = partial + 2 * ((int64_t)blockIdx.y * gridDim.x + blockIdx.x);
        out[0] = of_weights;
        out[1] = of_gradient;
    }
}

// SGD, and LARS where `partial` holds the sums of the kernel above, made with the same grid.
extern "C" __global__ void optimiser_momentum(float *weights, float *velocity, const float *gradient, const uint64_t *segments,
                                              const float *settings, const float *partial, bf16 *half) {
    const uint64_t *segment = segments + 3 * blockIdx.y;
    const uint64_t start = segment[0], length = segment[1], flags = segment[2];
    const float rate = settings[RATE], momentum = settings[MOMENTUM];
    float scale = 1.f, decay = flags & DECAYS ? settings[DECAY] : 0.f;
    if (partial && (flags & ADAPTS)) {
        // Every block adds the same numbers in the same order: cheaper than one more kernel.
        float of_weights = 0.f, of_gradient = 0.f;
        for (unsigned b = threadIdx.x; b < gridDim.x; b += blockDim.x) {
            const float *from = partial + 2 * ((int64_t)blockIdx.y * gridDim.x + b);
            of_weights += from[0];
            of_gradient += from[1];
        }
        of_weights = sqrtf(block_sum<BLOCK>(of_weights));
        of_gradient = sqrtf(block_sum<BLOCK>(of_gradient));
        if (of_weights == 0.f || of_gradient == 0.f) decay = 0.f; // as in apex; a NaN is not 0 and goes on
        else scale = settings[TRUST] * of_weights / (of_gradient + decay * of_weights + 1e-8f);
    }
    for (uint64_t k = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; k < length; k += (uint64_t)gridDim.x * blockDim.x) {
        const uint64_t place = start + k;
        const float w = weights[place], v = momentum * velocity[place] + (gradient[place] + decay * w) * scale;
        const float next = w - rate * v;
        velocity[place] = v;
        weights[place] = next;
        if (half) half[place] = __float2bfloat16(next);
    }
}

extern "C" __global__ void optimiser_adamw(float *weights, float *first, float *second, const float *gradient, const uint64_t *segments,
                                           const float *settings, bf16 *half) {
    const uint64_t *segment = segments + 3 * blockIdx.y;
    const uint64_t start = segment[0], length = segment[1], flags = segment[2];
    const float rate = settings[RATE], decay = flags & DECAYS ? settings[DECAY] : 0.f, beta1 = settings[BETA1], beta2 = settings[BETA2];
    const float rest1 = settings[REST1], rest2 = settings[REST2];
    const float epsilon = settings[EPSILON], size = rate / settings[CORRECTION1], root = sqrtf(settings[CORRECTION2]);
    for (uint64_t k = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; k < length; k += (uint64_t)gridDim.x * blockDim.x) {
        const uint64_t place = start + k;
        const float g = gradient[place];
        const float m = beta1 * first[place] + rest1 * g, v = beta2 * second[place] + rest2 * g * g;
        const float w = weights[place], next = w - rate * decay * w - size * m / (sqrtf(v) / root + epsilon);
        first[place] = m;
        second[place] = v;
        weights[place] = next;
        if (half) half[place] = __float2bfloat16(next);
    }
}
