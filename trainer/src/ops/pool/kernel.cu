// The mean over positions: y[n, c] = sum_p x[n, p, c] / P, and its gradient dx[n, p, c] = dy[n, c] / P. x [N, P, C],
// P = H·W.
#include "../kernel.cuh"

template <typename T, int V> __device__ __forceinline__ void forward(const T *x, T *y, int64_t batch, int positions, int channels) {
    const int64_t packs = channels / V, total = batch * packs;
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < total; index += (int64_t)gridDim.x * blockDim.x) {
        const T *from = x + (index / packs) * positions * channels + (index % packs) * V;
        float sum[V] = {};
        for (int p = 0; p < positions; p++) {
            const Pack<T, V> pack = load<T, V>(from + (int64_t)p * channels);
            for (int v = 0; v < V; v++) sum[v] += pack[v];
        }
        Pack<T, V> out = {};
        for (int v = 0; v < V; v++) out.set(v, sum[v] / (float)positions);
        store<T, V>(y + index * V, out);
    }
}

template <typename T, int V> __device__ __forceinline__ void backward(const T *dy, T *dx, int64_t batch, int positions, int channels) {
    const int64_t packs = channels / V, total = batch * positions * packs;
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < total; index += (int64_t)gridDim.x * blockDim.x) {
        const int64_t image = index / packs / positions;
        Pack<T, V> pack = load<T, V>(dy + image * channels + (index % packs) * V);
        for (int v = 0; v < V; v++) pack.set(v, pack[v] / (float)positions);
        store<T, V>(dx + index * V, pack);
    }
}

#define DEFINE(NAME, T, V)                                                                                                                 \
    extern "C" __global__ void pool_forward_##NAME(const T *x, T *y, int64_t batch, int positions, int channels) {                         \
        forward<T, V>(x, y, batch, positions, channels);                                                                                   \
    }                                                                                                                                      \
    extern "C" __global__ void pool_backward_##NAME(const T *dy, T *dx, int64_t batch, int positions, int channels) {                      \
        backward<T, V>(dy, dx, batch, positions, channels);                                                                                \
    }
FOR_EACH_PACK(DEFINE)
