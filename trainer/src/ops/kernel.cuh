// What every kernel of this crate shares: element types, packs of elements read in one instruction, sums over a block.
//
// Activations are f32 or bf16; every sum is taken in f32. A sum over many rows has two levels: each block adds up a
// fixed run of rows, a second kernel adds the partial sums in a fixed order. No atomics, so the same input gives the
// same bits. Nothing here uses warp intrinsics, so that trainer/cuda/emulate can run the same source on a CPU.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16(x); }

// V neighbouring elements; one 16-byte load or store where V elements are 16 bytes. Read by pack[v], written by
// pack.set(v, x).
template <typename T, int V> struct alignas(sizeof(T) * V) Pack {
    T value[V];
    __device__ __forceinline__ float operator[](int v) const { return to_float(value[v]); }
    __device__ __forceinline__ void set(int v, float x) { value[v] = from_float<T>(x); }
};

// Two bf16 to a word, taken apart where they are used: an array of them would be taken apart right behind the load,
// which would wait for it before the next load is issued, and would hold twice as many registers.
template <int V> struct alignas(2 * V) Pack<bf16, V> {
    uint32_t word[V / 2];
    __device__ __forceinline__ float operator[](int v) const {
        return __uint_as_float(v % 2 ? word[v / 2] & 0xffff0000u : word[v / 2] << 16);
    }
    __device__ __forceinline__ void set(int v, float x) {
        const uint32_t bits = __bfloat16_as_ushort(__float2bfloat16(x));
        word[v / 2] = v % 2 ? (word[v / 2] & 0xffffu) | bits << 16 : (word[v / 2] & 0xffff0000u) | bits;
    }
};
template <> struct Pack<bf16, 1> {
    bf16 value;
    __device__ __forceinline__ float operator[](int) const { return to_float(value); }
    __device__ __forceinline__ void set(int, float x) { value = __float2bfloat16(x); }
};

template <typename T, int V> __device__ __forceinline__ Pack<T, V> load(const T *from) {
    return *reinterpret_cast<const Pack<T, V> *>(from);
}

template <typename T, int V> __device__ __forceinline__ void store(T *to, const Pack<T, V> &pack) {
    *reinterpret_cast<Pack<T, V> *>(to) = pack;
}

// A number of packs or elements that the compiler knows, as an argument.
template <int N> struct Count {
    static const int value = N;
};

// V numbers of one row of coefficients, four at a time where V is a multiple of 4: `from` is then a multiple of 16 bytes.
template <int V> __device__ __forceinline__ void load_coefficients(const float *from, float (&to)[V]) {
    const int STEP = V % 4 == 0 ? 4 : 1;
#pragma unroll
    for (int v = 0; v < V; v += STEP) {
        const Pack<float, STEP> pack = load<float, STEP>(from + v);
#pragma unroll
        for (int k = 0; k < STEP; k++) to[v + k] = pack[k];
    }
}

// Sum of one value of each thread of a block (a power of two of at most BLOCK threads), returned to all of them.
// The order is that of a binary tree over the threads.
template <int BLOCK> __device__ __forceinline__ float block_sum(float value) {
    __shared__ float cells[BLOCK];
    __syncthreads(); // the cells may still be read by the previous call
    cells[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) cells[threadIdx.x] += cells[threadIdx.x + half];
        __syncthreads();
    }
    return cells[0];
}

// Largest value among the threads of a block, returned to all of them.
template <int BLOCK> __device__ __forceinline__ float block_max(float value) {
    __shared__ float cells[BLOCK];
    __syncthreads();
    cells[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) cells[threadIdx.x] = fmaxf(cells[threadIdx.x], cells[threadIdx.x + half]);
        __syncthreads();
    }
    return cells[0];
}

// Adds, for each of V columns, the values of the threads that share threadIdx.x; the sums end in the threads of
// threadIdx.y = 0. The block is [blockDim.x columns of packs, blockDim.y rows], blockDim.y a power of two, at most
// BLOCK threads.
template <int V, int BLOCK> __device__ __forceinline__ void sum_over_rows(float (&value)[V]) {
    __shared__ float cells[V][BLOCK];
    const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
    __syncthreads();
    for (int v = 0; v < V; v++) cells[v][thread] = value[v];
    __syncthreads();
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        if (threadIdx.y < half)
            for (int v = 0; v < V; v++) cells[v][thread] += cells[v][thread + half * blockDim.x];
        __syncthreads();
    }
    for (int v = 0; v < V; v++) value[v] = cells[v][threadIdx.x];
}

// How many blocks of 256 threads share a multiprocessor at least, which leaves each thread 85 registers. The grids of
// sums in launch.rs count on it.
const int RESIDENT = 3;

// sums[k] = sum over chunks of partial[chunk, k], k < columns. Block [8 columns, 64 runs of chunks]; grid ceil(columns
// / 8).
__device__ __forceinline__ void combine_sums(const float *partial, float *sums, int chunks, int columns) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    float total[1] = {0.f};
    if (column < columns)
#pragma unroll 4
        for (int chunk = threadIdx.y; chunk < chunks; chunk += blockDim.y) total[0] += partial[(int64_t)chunk * columns + column];
    sum_over_rows<1, 512>(total);
    if (threadIdx.y == 0 && column < columns) sums[column] = total[0];
}

// Instantiates NAME_f32, NAME_f32_vector, NAME_bf16 and NAME_bf16_vector from a template NAME<T, V>; the vector forms
// want the number of columns to be a multiple of 8 and pointers that are multiples of 16 bytes.
#define FOR_EACH_PACK(DEFINE) DEFINE(f32, float, 1) DEFINE(f32_vector, float, 4) DEFINE(bf16, bf16, 1) DEFINE(bf16_vector, bf16, 8)
