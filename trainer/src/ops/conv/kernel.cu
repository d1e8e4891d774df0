// A convolution as a matrix product, for machines without cuDNN. Channels last:
//
//   column[(n, p, q), (i, j, c)] = x[n, p·stride + i - padding, q·stride + j - padding, c], 0 outside the image
//   dx[n, h, w, c] = [dx +] sum over (i, j) of dcolumn[(n, p, q), (i, j, c)]
//                    with p·stride + i - padding = h, q·stride + j - padding = w
//
// x [N, H, W, C], column [N·P·Q, KH·KW·C]; the second is a gather: one thread owns one output, so no atomics.
#include "../kernel.cuh"

// Sizes of one call, passed by value.
struct Geometry {
    int batch, height, width, channels, out_height, out_width, kernel_height, kernel_width, stride, padding;
};

template <typename T, int V> __device__ __forceinline__ void image_to_columns(const T *x, T *column, Geometry g) {
    const int packs = g.channels / V;
    const int64_t total = (int64_t)g.batch * g.out_height * g.out_width * g.kernel_height * g.kernel_width * packs;
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < total; index += (int64_t)gridDim.x * blockDim.x) {
        int64_t rest = index / packs;
        const int channel = (int)(index % packs) * V;
        const int j = (int)(rest % g.kernel_width);
        rest /= g.kernel_width;
        const int i = (int)(rest % g.kernel_height);
        rest /= g.kernel_height;
        const int q = (int)(rest % g.out_width);
        rest /= g.out_width;
        const int p = (int)(rest % g.out_height);
        const int64_t image = rest / g.out_height;
        const int h = p * g.stride + i - g.padding, w = q * g.stride + j - g.padding;
        Pack<T, V> pack = {};
        if (h >= 0 && h < g.height && w >= 0 && w < g.width)
            pack = load<T, V>(x + ((image * g.height + h) * g.width + w) * g.channels + channel);
        store<T, V>(column + index * V, pack);
    }
}

template <typename T, int V> __device__ __forceinline__ void columns_to_image(const T *column, T *dx, Geometry g, int add) {
    const int packs = g.channels / V;
    const int64_t total = (int64_t)g.batch * g.height * g.width * packs;
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < total; index += (int64_t)gridDim.x * blockDim.x) {
        int64_t rest = index / packs;
        const int channel = (int)(index % packs) * V;
        const int w = (int)(rest % g.width);
        rest /= g.width;
        const int h = (int)(rest % g.height);
        const int64_t image = rest / g.height;
        float sum[V] = {};
        if (add) {
            const Pack<T, V> before = load<T, V>(dx + index * V);
            for (int v = 0; v < V; v++) sum[v] = before[v];
        }
        for (int i = 0; i < g.kernel_height; i++) {
            const int down = h + g.padding - i, p = down / g.stride;
            if (down < 0 || down % g.stride != 0 || p >= g.out_height) continue;
            for (int j = 0; j < g.kernel_width; j++) {
                const int right = w + g.padding - j, q = right / g.stride;
                if (right < 0 || right % g.stride != 0 || q >= g.out_width) continue;
                const int64_t place = (((image * g.out_height + p) * g.out_width + q) * g.kernel_height + i) * g.kernel_width + j;
                const Pack<T, V> pack = load<T, V>(column + place * g.channels + channel);
                for (int v = 0; v < V; v++) sum[v] += pack[v];
            }
        }
        Pack<T, V> out = {};
        for (int v = 0; v < V; v++) out.set(v, sum[v]);
        store<T, V>(dx + index * V, out);
    }
}

// sum[i] += more[i], i < packs·V.
template <typename T, int V> __device__ __forceinline__ void add(T *sum, const T *more, int64_t packs) {
    for (int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; index < packs; index += (int64_t)gridDim.x * blockDim.x) {
        const Pack<T, V> a = load<T, V>(sum + index * V), b = load<T, V>(more + index * V);
        Pack<T, V> out = {};
        for (int v = 0; v < V; v++) out.set(v, a[v] + b[v]);
        store<T, V>(sum + index * V, out);
    }
}

#define DEFINE(NAME, T, V)                                                                                                                 \
    extern "C" __global__ void conv_image_to_columns_##NAME(const T *x, T *column, Geometry geometry) {                                    \
        image_to_columns<T, V>(x, column, geometry);                                                                                       \
    }                                                                                                                                      \
    extern "C" __global__ void conv_columns_to_image_##NAME(const T *column, T *dx, Geometry geometry, int add) {                          \
        columns_to_image<T, V>(column, dx, geometry, add);                                                                                 \
    }                                                                                                                                      \
    extern "C" __global__ void conv_add_##NAME(T *sum, const T *more, int64_t packs) { add<T, V>(sum, more, packs); }
FOR_EACH_PACK(DEFINE)
