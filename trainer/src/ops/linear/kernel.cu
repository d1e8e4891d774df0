// What surrounds the matrix product of a linear layer y = max(x·W^T + b, 0), y [R, C]:
//
//   forward   y <- y + b [then max(·, 0)], in place
//   backward  g = dy [0 where y <= 0], over dy;  db = sum_r g, in two levels
//
// A NaN stays one, in y and in g: fmaxf and the mask `!(y > 0)` would turn it into 0 and hide a diverged run.
#include "../kernel.cuh"

template <typename T, int V> __device__ __forceinline__ void add_bias(T *y, const float *bias, int64_t rows, int columns, int relu) {
    const int column = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (column >= columns) return;
    float shift[V] = {};
    if (bias) load_coefficients<V>(bias + column, shift);
    for (int64_t row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += (int64_t)gridDim.y * blockDim.y) {
        Pack<T, V> pack = load<T, V>(y + row * columns + column);
        for (int v = 0; v < V; v++) {
            const float value = pack[v] + shift[v];
            pack.set(v, relu && value < 0.f ? 0.f : value);
        }
        store<T, V>(y + row * columns + column, pack);
    }
}

// partial [chunks, C]; y is read, and dy written, only with relu.
template <typename T, int V>
__device__ __forceinline__ void reduce_gradient(const T *y, T *gradient, float *partial, int64_t rows, int columns, int64_t chunk_rows,
                                                int relu) {
    const int column = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    const int64_t first = blockIdx.y * chunk_rows;
    const int64_t end = first + chunk_rows < rows ? first + chunk_rows : rows;
    float sum[V] = {};
    if (column < columns) {
#pragma unroll 4
        for (int64_t row = first + threadIdx.y; row < end; row += blockDim.y) {
            const int64_t place = row * columns + column;
            Pack<T, V> pack = load<T, V>(gradient + place);
            if (relu) {
                const Pack<T, V> output = load<T, V>(y + place);
                for (int v = 0; v < V; v++)
                    if (output[v] <= 0.f) pack.set(v, 0.f);
                store<T, V>(gradient + place, pack);
            }
            for (int v = 0; v < V; v++) sum[v] += pack[v];
        }
    }
    sum_over_rows<V, 256>(sum);
    if (threadIdx.y == 0 && column < columns)
        for (int v = 0; v < V; v++) partial[(int64_t)blockIdx.y * columns + column + v] = sum[v];
}

#define DEFINE(NAME, T, V)                                                                                                                 \
    extern "C" __global__ void linear_add_bias_##NAME(T *y, const float *bias, int64_t rows, int columns, int relu) {                      \
        add_bias<T, V>(y, bias, rows, columns, relu);                                                                                      \
    }                                                                                                                                      \
    extern "C" __global__ void linear_reduce_##NAME(const T *y, T *gradient, float *partial, int64_t rows, int columns,                    \
                                                    int64_t chunk_rows, int relu) {                                                        \
        reduce_gradient<T, V>(y, gradient, partial, rows, columns, chunk_rows, relu);                                                      \
    }
FOR_EACH_PACK(DEFINE)
