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

// by <- by · the row of coefficients that begins at `from`.
template <int V> __device__ __forceinline__ void multiply_by(const float *from, float (&by)[V]) {
    float factor[V];
    load_coefficients<V>(from, factor);
#pragma unroll
    for (int v = 0; v < V; v++) by[v] *= factor[v];
}

// Calls treat(count, place, next) for rows `row`, `row` + blockDim.y, … below `end`: `count.value` of them at a time, the
// first at element `place`, each `next` elements behind the one before, so that all are loaded before one is stored or
// added. From ROWS rows to the next ROWS it is `step` rows.
template <int ROWS, typename Treat>
__device__ __forceinline__ void for_rows(int64_t row, int64_t end, int64_t step, int channels, int channel, const Treat &treat) {
    const int64_t next = (int64_t)blockDim.y * channels;
    for (; row < end; row += step) {
        if (row + (ROWS - 1) * blockDim.y < end) treat(Count<ROWS>(), row * channels + channel, next);
        else
            for (int64_t last = row; last < end; last += blockDim.y) treat(Count<1>(), last * channels + channel, next);
    }
}

// Rows that a thread loads at a time: loads in flight.
const int MOMENTS_ROWS = 4, ROWS = 2;

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

// Merges the moments of the threads that share threadIdx.x, channel by channel; the result is in the threads of
// threadIdx.y = 0.
template <int V, int CELLS> __device__ __forceinline__ void merge_over_rows(Moments (&moments)[V]) {
    __shared__ Moments cells[V][CELLS];
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int v = 0; v < V; v++) cells[v][thread] = moments[v];
    __syncthreads();
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        if (threadIdx.y < half)
#pragma unroll
            for (int v = 0; v < V; v++) cells[v][thread] = merge(cells[v][thread], cells[v][thread + half * blockDim.x]);
        __syncthreads();
    }
#pragma unroll
    for (int v = 0; v < V; v++) moments[v] = cells[v][threadIdx.x];
}

// partial[chunk] = (mean, squares) [2, C] of the rows of the chunk; its count is known from its place.
template <typename T, int V>
__device__ __forceinline__ void moments_of_chunk(const T *x, float *partial, int64_t rows, int channels, int64_t chunk_rows) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    const int64_t first = blockIdx.y * chunk_rows;
    const int64_t end = first + chunk_rows < rows ? first + chunk_rows : rows;
    Moments moments[V] = {};
    float count = 0.f, mean[V] = {}, squares[V] = {};
    if (channel < channels)
        for_rows<MOMENTS_ROWS>(first + threadIdx.y, end, MOMENTS_ROWS * blockDim.y, channels, channel,
                               [&](auto number, int64_t place, int64_t next) {
            Pack<T, V> pack[number.value];
            for (int k = 0; k < number.value; k++) pack[k] = load<T, V>(x + place + k * next);
            for (int k = 0; k < number.value; k++) {
                count += 1.f;
                const float share = 1.f / count;
                for (int v = 0; v < V; v++) {
                    const float value = pack[k][v], distance = value - mean[v];
                    mean[v] += distance * share;
                    squares[v] += distance * (value - mean[v]);
                }
            }
        });
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
    load_coefficients<V>(stats + channel, mean);
    load_coefficients<V>(affine + channel, scale);
    load_coefficients<V>(affine + channels + channel, shift);
    multiply_by<V>(stats + channels + channel, scale);
    const int64_t run = ROWS * blockDim.y;
    for_rows<ROWS>(blockIdx.y * run + threadIdx.y, rows, gridDim.y * run, channels, channel, [&](auto count, int64_t place, int64_t next) {
        Pack<T, V> pack[count.value], more[count.value];
        for (int k = 0; k < count.value; k++) pack[k] = load<T, V>(x + place + k * next);
        if (residual)
            for (int k = 0; k < count.value; k++) more[k] = load<T, V>(residual + place + k * next);
        for (int k = 0; k < count.value; k++) {
            for (int v = 0; v < V; v++) {
                float value = (pack[k][v] - mean[v]) * scale[v] + shift[v];
                if (residual) value += more[k][v];
                pack[k].set(v, relu ? without_negative(value) : value);
            }
            store<T, V>(y + place + k * next, pack[k]);
        }
    });
}

// Partial sums (g·xhat, g) [chunks, 2, C]. With relu the sign of y decides: read from y where it is given (a residual
// was added), and then g is written over dy; else computed again from x, as apply does it, and dy is only read.
template <typename T, int V>
__device__ __forceinline__ void reduce_gradient(const T *x, const T *y, T *gradient, const float *stats, const float *affine, float *partial,
                                                int64_t rows, int channels, int64_t chunk_rows, int relu) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    const int64_t first = blockIdx.y * chunk_rows;
    const int64_t end = first + chunk_rows < rows ? first + chunk_rows : rows;
    float with_input[V] = {}, alone[V] = {}, mean[V];
    if (channel < channels) {
        load_coefficients<V>(stats + channel, mean);
        const auto add = [&](int v, float distance, float g) {
            alone[v] += g;
            with_input[v] += g * distance;
        };
        const int64_t row = first + threadIdx.y, step = ROWS * blockDim.y;
        if (relu && !y) {
            float scale[V], shift[V];
            load_coefficients<V>(affine + channel, scale);
            load_coefficients<V>(affine + channels + channel, shift);
            multiply_by<V>(stats + channels + channel, scale);
            for_rows<ROWS>(row, end, step, channels, channel, [&](auto count, int64_t place, int64_t next) {
                Pack<T, V> input[count.value], pack[count.value];
                for (int k = 0; k < count.value; k++) {
                    input[k] = load<T, V>(x + place + k * next);
                    pack[k] = load<T, V>(gradient + place + k * next);
                }
                for (int k = 0; k < count.value; k++)
                    for (int v = 0; v < V; v++) {
                        const float distance = input[k][v] - mean[v];
                        add(v, distance, distance * scale[v] + shift[v] <= 0.f ? 0.f : pack[k][v]);
                    }
            });
        } else {
            for_rows<ROWS>(row, end, step, channels, channel, [&](auto count, int64_t place, int64_t next) {
                Pack<T, V> input[count.value], pack[count.value], output[count.value];
                for (int k = 0; k < count.value; k++) {
                    input[k] = load<T, V>(x + place + k * next);
                    pack[k] = load<T, V>(gradient + place + k * next);
                    if (relu) output[k] = load<T, V>(y + place + k * next);
                }
                for (int k = 0; k < count.value; k++) {
                    if (relu) {
                        for (int v = 0; v < V; v++) pack[k].set(v, output[k][v] <= 0.f ? 0.f : pack[k][v]);
                        store<T, V>(gradient + place + k * next, pack[k]);
                    }
                    for (int v = 0; v < V; v++) add(v, input[k][v] - mean[v], pack[k][v]);
                }
            });
        }
        multiply_by<V>(stats + channels + channel, with_input);
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
    load_coefficients<V>(stats + channel, mean);
    load_coefficients<V>(affine + channel, scale);
    load_coefficients<V>(affine + channels + channel, shift);
    load_coefficients<V>(sums + channel, slope);
    load_coefficients<V>(sums + channels + channel, offset);
    multiply_by<V>(stats + channels + channel, scale);
    multiply_by<V>(stats + channels + channel, slope);
    for (int v = 0; v < V; v++) {
        slope[v] /= (float)rows;
        offset[v] /= (float)rows;
    }
    const int64_t run = ROWS * blockDim.y;
    for_rows<ROWS>(blockIdx.y * run + threadIdx.y, rows, gridDim.y * run, channels, channel, [&](auto count, int64_t place, int64_t next) {
        Pack<T, V> input[count.value], pack[count.value];
        for (int k = 0; k < count.value; k++) {
            input[k] = load<T, V>(x + place + k * next);
            pack[k] = load<T, V>(gradient + place + k * next);
        }
        for (int k = 0; k < count.value; k++) {
            for (int v = 0; v < V; v++) {
                const float distance = input[k][v] - mean[v];
                const float g = relu && distance * scale[v] + shift[v] <= 0.f ? 0.f : pack[k][v];
                pack[k].set(v, scale[v] * (g - offset[v] - distance * slope[v]));
            }
            store<T, V>(dx + place + k * next, pack[k]);
        }
    });
}

#define DEFINE(NAME, T, V)                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(BLOCK, RESIDENT) batch_norm_moments_##NAME(const T *x, float *partial, int64_t rows, int channels, int64_t chunk_rows) {     \
        moments_of_chunk<T, V>(x, partial, rows, channels, chunk_rows);                                                                    \
    }                                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(BLOCK, RESIDENT) batch_norm_apply_##NAME(const T *x, const float *stats, const float *affine, const T *residual, T *y,       \
                                                       int64_t rows, int channels, int relu) {                                             \
        apply<T, V>(x, stats, affine, residual, y, rows, channels, relu);                                                                  \
    }                                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(BLOCK, RESIDENT) batch_norm_reduce_##NAME(const T *x, const T *y, T *gradient, const float *stats, const float *affine,      \
                                                        float *partial, int64_t rows, int channels, int64_t chunk_rows, int relu) {        \
        reduce_gradient<T, V>(x, y, gradient, stats, affine, partial, rows, channels, chunk_rows, relu);                                   \
    }                                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(BLOCK, RESIDENT) batch_norm_input_gradient_##NAME(const T *x, const T *gradient, const float *stats, const float *affine,    \
                                                                const float *sums, T *dx, int64_t rows, int channels, int relu) {          \
        input_gradient<T, V>(x, gradient, stats, affine, sums, dx, rows, channels, relu);                                                  \
    }
FOR_EACH_PACK(DEFINE)
