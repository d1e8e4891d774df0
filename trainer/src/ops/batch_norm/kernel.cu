// Batch normalisation of x [R, C], channels last, R = N·H·W:
//
//   mean_c = sum_r x / R,  var_c = sum_r (x - mean_c)^2 / R,  xhat = (x - mean) / sqrt(var + eps)
//   y = gamma·xhat + beta [+ residual] [then max(·, 0)]
//   g = dy [0 where y <= 0];  dbeta = sum_r g,  dgamma = sum_r g·xhat
//   dx = gamma / sqrt(var + eps) · (g - dbeta / R - xhat·dgamma / R)
//
// stats [2, C] = mean, 1/sqrt(var + eps); affine [2, C] = gamma, beta; gradients [2, C] = dgamma, dbeta; running [2,
// C] = mean, var. Blocks are [packs of channels, rows]; the grid is [tiles of packs, runs of chunk_rows rows].
#include "../kernel.cuh"

const int BLOCK = 256;

// max(x, 0) that keeps a NaN, which fmaxf would turn into 0 and so hide a diverged run. The masks below ask `<= 0` for
// the same reason.
__device__ __forceinline__ float without_negative(float x) { return x < 0.f ? 0.f : x; }

// Count, mean and sum of squared deviations of a set, updated by Welford and merged by Chan: no cancellation wherever
// the mean lies, where sum x^2 - (sum x)^2 / R loses every digit once |mean| exceeds 3000 standard deviations.
struct Moments {
    float count, mean, squares;
};

__device__ __forceinline__ Moments merge(Moments a, Moments b) {
    if (b.count == 0.f) return a;
    if (a.count == 0.f) return b;
    Moments both;
    both.count = a.count + b.count;
    const float share = b.count / both.count, distance = b.mean - a.mean;
    both.mean = a.mean + distance * share;
    both.squares = a.squares + b.squares + distance * distance * a.count * share;
    return both;
}

// Merges the moments of the threads that share threadIdx.x, one channel at a time; the result is in the threads of
// threadIdx.y = 0.
template <int V, int CELLS> __device__ __forceinline__ void merge_over_rows(Moments (&moments)[V]) {
    __shared__ Moments cells[CELLS];
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int v = 0; v < V; v++) {
        __syncthreads();
        cells[thread] = moments[v];
        __syncthreads();
        for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
            if (threadIdx.y < half) cells[thread] = merge(cells[thread], cells[thread + half * blockDim.x]);
            __syncthreads();
        }
        moments[v] = cells[threadIdx.x];
    }
}

// partial[chunk] = (mean, squares) [2, C] of the rows of the chunk; its count is known from its place.
template <typename T, int V>
__device__ __forceinline__ void moments_of_chunk(const T *x, float *partial, int64_t rows, int channels, int64_t chunk_rows) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    const int64_t first = blockIdx.y * chunk_rows;
    const int64_t end = first + chunk_rows < rows ? first + chunk_rows : rows;
    Moments moments[V] = {};
    float count = 0.f, mean[V] = {}, squares[V] = {};
    if (channel < channels) {
#pragma unroll 4
        for (int64_t row = first + threadIdx.y; row < end; row += blockDim.y) {
            const Pack<T, V> pack = load<T, V>(x + row * channels + channel);
            count += 1.f;
            const float share = 1.f / count;
            for (int v = 0; v < V; v++) {
                const float value = to_float(pack.value[v]), distance = value - mean[v];
                mean[v] += distance * share;
                squares[v] += distance * (value - mean[v]);
            }
        }
    }
    for (int v = 0; v < V; v++) moments[v] = {count, mean[v], squares[v]};
    merge_over_rows<V, BLOCK>(moments);
    if (threadIdx.y == 0 && channel < channels) {
        float *out = partial + (int64_t)blockIdx.y * 2 * channels + channel;
        for (int v = 0; v < V; v++) {
            out[v] = moments[v].mean;
            out[channels + v] = moments[v].squares;
        }
    }
}

// stats from the partial moments, merged in the order of the chunks; with `running`, also
// running <- (1 - momentum)·running + momentum·(mean, var·R/(R-1)). Block [8 channels, 64 runs of chunks].
extern "C" __global__ void batch_norm_statistics(const float *partial, float *stats, float *running, int64_t rows, int channels,
                                                 int64_t chunk_rows, int chunks, float epsilon, float momentum) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    Moments moments[1] = {};
    if (channel < channels) {
#pragma unroll 4
        for (int chunk = threadIdx.y; chunk < chunks; chunk += blockDim.y) {
            const int64_t first = chunk * chunk_rows;
            const float count = (float)(first + chunk_rows < rows ? chunk_rows : rows - first);
            const float *from = partial + (int64_t)chunk * 2 * channels + channel;
            moments[0] = merge(moments[0], {count, from[0], from[channels]});
        }
    }
    merge_over_rows<1, 512>(moments);
    if (threadIdx.y != 0 || channel >= channels) return;
    const float mean = moments[0].mean, variance = moments[0].squares / (float)rows;
    stats[channel] = mean;
    stats[channels + channel] = 1.f / sqrtf(variance + epsilon);
    if (running) {
        const float unbiased = moments[0].squares / (float)(rows - 1); // at least two rows: the launch refuses one
        running[channel] += momentum * (mean - running[channel]);
        running[channels + channel] += momentum * (unbiased - running[channels + channel]);
    }
}

// stats of evaluation: (mean, 1/sqrt(var + eps)) of the running buffers.
extern "C" __global__ void batch_norm_running_statistics(const float *running, float *stats, int channels, float epsilon) {
    for (int channel = blockIdx.x * blockDim.x + threadIdx.x; channel < channels; channel += gridDim.x * blockDim.x) {
        stats[channel] = running[channel];
        stats[channels + channel] = 1.f / sqrtf(running[channels + channel] + epsilon);
    }
}

template <typename T, int V>
__device__ __forceinline__ void apply(const T *x, const float *stats, const float *affine, const T *residual, T *y, int64_t rows,
                                      int channels, int relu) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (channel >= channels) return;
    float mean[V], scale[V], shift[V];
    for (int v = 0; v < V; v++) {
        mean[v] = stats[channel + v];
        scale[v] = affine[channel + v] * stats[channels + channel + v];
        shift[v] = affine[channels + channel + v];
    }
    for (int64_t row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += (int64_t)gridDim.y * blockDim.y) {
        const int64_t place = row * channels + channel;
        const Pack<T, V> pack = load<T, V>(x + place);
        Pack<T, V> more, out;
        if (residual) more = load<T, V>(residual + place);
        for (int v = 0; v < V; v++) {
            float value = (to_float(pack.value[v]) - mean[v]) * scale[v] + shift[v];
            if (residual) value += to_float(more.value[v]);
            if (relu) value = without_negative(value);
            out.value[v] = from_float<T>(value);
        }
        store<T, V>(y + place, out);
    }
}

// Partial sums (g·xhat, g) [chunks, 2, C]. With relu the sign of y decides: read from y where it is given (a residual
// was added), and then g is written over dy; else computed again from x, as apply does it, and dy is only read.
template <typename T, int V>
__device__ __forceinline__ void reduce_gradient(const T *x, const T *y, T *gradient, const float *stats, const float *affine, float *partial,
                                                int64_t rows, int channels, int64_t chunk_rows, int relu) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    const int64_t first = blockIdx.y * chunk_rows;
    const int64_t end = first + chunk_rows < rows ? first + chunk_rows : rows;
    float with_input[V] = {}, alone[V] = {}, mean[V] = {}, scale[V] = {}, shift[V] = {};
    if (channel < channels) {
        for (int v = 0; v < V; v++) {
            mean[v] = stats[channel + v];
            scale[v] = affine[channel + v] * stats[channels + channel + v];
            shift[v] = affine[channels + channel + v];
        }
#pragma unroll 2
        for (int64_t row = first + threadIdx.y; row < end; row += blockDim.y) {
            const int64_t place = row * channels + channel;
            const Pack<T, V> input = load<T, V>(x + place);
            Pack<T, V> pack = load<T, V>(gradient + place);
            if (relu && y) {
                const Pack<T, V> output = load<T, V>(y + place);
                for (int v = 0; v < V; v++)
                    if (to_float(output.value[v]) <= 0.f) pack.value[v] = from_float<T>(0.f);
                store<T, V>(gradient + place, pack);
            }
            for (int v = 0; v < V; v++) {
                const float distance = to_float(input.value[v]) - mean[v];
                float g = to_float(pack.value[v]);
                if (relu && !y && distance * scale[v] + shift[v] <= 0.f) g = 0.f;
                alone[v] += g;
                with_input[v] += g * distance;
            }
        }
        for (int v = 0; v < V; v++) with_input[v] *= stats[channels + channel + v];
    }
    sum_over_rows<V, BLOCK>(with_input);
    sum_over_rows<V, BLOCK>(alone);
    if (threadIdx.y == 0 && channel < channels) {
        float *out = partial + (int64_t)blockIdx.y * 2 * channels + channel;
        for (int v = 0; v < V; v++) {
            out[v] = with_input[v];
            out[channels + v] = alone[v];
        }
    }
}

// dx may be dy itself. With relu the mask is computed again from x.
template <typename T, int V>
__device__ __forceinline__ void input_gradient(const T *x, const T *gradient, const float *stats, const float *affine, const float *sums,
                                               T *dx, int64_t rows, int channels, int relu) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (channel >= channels) return;
    float mean[V], scale[V], shift[V], slope[V], offset[V];
    for (int v = 0; v < V; v++) {
        const float inverse = stats[channels + channel + v];
        mean[v] = stats[channel + v];
        scale[v] = affine[channel + v] * inverse;
        shift[v] = affine[channels + channel + v];
        slope[v] = inverse * sums[channel + v] / (float)rows;
        offset[v] = sums[channels + channel + v] / (float)rows;
    }
    for (int64_t row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += (int64_t)gridDim.y * blockDim.y) {
        const int64_t place = row * channels + channel;
        const Pack<T, V> input = load<T, V>(x + place), pack = load<T, V>(gradient + place);
        Pack<T, V> out;
        for (int v = 0; v < V; v++) {
            const float distance = to_float(input.value[v]) - mean[v];
            float g = to_float(pack.value[v]);
            if (relu && distance * scale[v] + shift[v] <= 0.f) g = 0.f;
            out.value[v] = from_float<T>(scale[v] * (g - offset[v] - distance * slope[v]));
        }
        store<T, V>(dx + place, out);
    }
}

#define DEFINE(NAME, T, V)                                                                                                                 \
    extern "C" __global__ void batch_norm_moments_##NAME(const T *x, float *partial, int64_t rows, int channels, int64_t chunk_rows) {     \
        moments_of_chunk<T, V>(x, partial, rows, channels, chunk_rows);                                                                    \
    }                                                                                                                                      \
    extern "C" __global__ void batch_norm_apply_##NAME(const T *x, const float *stats, const float *affine, const T *residual, T *y,       \
                                                       int64_t rows, int channels, int relu) {                                             \
        apply<T, V>(x, stats, affine, residual, y, rows, channels, relu);                                                                  \
    }                                                                                                                                      \
    extern "C" __global__ void batch_norm_reduce_##NAME(const T *x, const T *y, T *gradient, const float *stats, const float *affine,      \
                                                        float *partial, int64_t rows, int channels, int64_t chunk_rows, int relu) {        \
        reduce_gradient<T, V>(x, y, gradient, stats, affine, partial, rows, channels, chunk_rows, relu);                                   \
    }                                                                                                                                      \
    extern "C" __global__ void batch_norm_input_gradient_##NAME(const T *x, const T *gradient, const float *stats, const float *affine,    \
                                                                const float *sums, T *dx, int64_t rows, int channels, int relu) {          \
        input_gradient<T, V>(x, gradient, stats, affine, sums, dx, rows, channels, relu);                                                  \
    }
FOR_EACH_PACK(DEFINE)
