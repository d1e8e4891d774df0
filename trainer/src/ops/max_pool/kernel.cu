// Max pooling over windows of 3×3 with stride 2 and padding 1, and its gradient. x [N, H, W, C], y [N, P, Q, C], P = ceil(H / 2),
// Q = ceil(W / 2). Of equal values the first counts, row by row; a NaN is larger than any number.
#include "../kernel.cuh"

__device__ __forceinline__ bool is_larger(float value, float largest) { return value > largest || value != value; }

// First and last input of the window of an output along one axis.
__device__ __forceinline__ int first_of(int index) { return index > 0 ? 2 * index - 1 : 0; }
__device__ __forceinline__ int last_of(int index, int length) { return 2 * index + 1 < length ? 2 * index + 1 : length - 1; }

// The largest values of the window of output (i, j), and the pixels where they stand; `x` begins at the channels of an image.
template <typename T, int V>
__device__ __forceinline__ void window(const T *x, int i, int j, int height, int width, int channels, float (&largest)[V], int (&place)[V]) {
#pragma unroll
    for (int v = 0; v < V; v++) largest[v] = -INFINITY, place[v] = first_of(i) * width + first_of(j);
    for (int h = first_of(i); h <= last_of(i, height); h++)
        for (int w = first_of(j); w <= last_of(j, width); w++) {
            const Pack<T, V> pack = load<T, V>(x + (int64_t)(h * width + w) * channels);
#pragma unroll
            for (int v = 0; v < V; v++)
                if (is_larger(pack[v], largest[v])) largest[v] = pack[v], place[v] = h * width + w;
        }
}

template <typename T, int V> __device__ __forceinline__ void forward(const T *x, T *y, int64_t batch, int height, int width, int channels) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2;
    const int64_t packs = channels / V, total = batch * rows * columns * packs;
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < total; index += (int64_t)gridDim.x * blockDim.x) {
        const int64_t pixel = index / packs, image = pixel / columns / rows;
        float largest[V];
        int place[V];
        window<T, V>(x + image * height * width * channels + (index % packs) * V, (int)(pixel / columns % rows), (int)(pixel % columns), height,
                     width, channels, largest, place);
        Pack<T, V> out = {};
#pragma unroll
        for (int v = 0; v < V; v++) out.set(v, largest[v]);
        store<T, V>(y + index * V, out);
    }
}

// A thread adds what the one to four windows around its pixel give to it, in the order of the windows.
template <typename T, int V>
__device__ __forceinline__ void backward(const T *x, const T *dy, T *dx, int64_t batch, int height, int width, int channels) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2;
    const int64_t packs = channels / V, total = batch * height * width * packs;
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < total; index += (int64_t)gridDim.x * blockDim.x) {
        const int64_t pixel = index / packs, image = pixel / width / height, channel = (index % packs) * V;
        const int h = (int)(pixel / width % height), w = (int)(pixel % width);
        float sum[V] = {};
        for (int i = h / 2; i <= (h + 1) / 2 && i < rows; i++)
            for (int j = w / 2; j <= (w + 1) / 2 && j < columns; j++) {
                float largest[V];
                int place[V];
                window<T, V>(x + image * height * width * channels + channel, i, j, height, width, channels, largest, place);
                const Pack<T, V> pack = load<T, V>(dy + ((image * rows + i) * columns + j) * channels + channel);
#pragma unroll
                for (int v = 0; v < V; v++)
                    if (place[v] == h * width + w) sum[v] += pack[v];
            }
        Pack<T, V> out = {};
#pragma unroll
        for (int v = 0; v < V; v++) out.set(v, sum[v]);
        store<T, V>(dx + index * V, out);
    }
}

#define DEFINE(NAME, T, V)                                                                                                                 \
    extern "C" __global__ void max_pool_forward_##NAME(const T *x, T *y, int64_t batch, int height, int width, int channels) {             \
        forward<T, V>(x, y, batch, height, width, channels);                                                                               \
    }                                                                                                                                      \
    extern "C" __global__ void max_pool_backward_##NAME(const T *x, const T *dy, T *dx, int64_t batch, int height, int width,              \
                                                        int channels) {                                                                    \
        backward<T, V>(x, dy, dx, batch, height, width, channels);                                                                         \
    }
FOR_EACH_PACK(DEFINE)
