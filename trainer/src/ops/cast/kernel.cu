// Between f32 and bf16, rounded to nearest, ties to even.
#include "../kernel.cuh"

template <typename From, typename To> __device__ __forceinline__ void convert(const From *from, To *to, int64_t count) {
    for (int64_t k = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; k < count; k += (int64_t)gridDim.x * blockDim.x)
        to[k] = from_float<To>(to_float(from[k]));
}

extern "C" __global__ void cast_f32_bf16(const float *from, bf16 *to, int64_t count) { convert(from, to, count); }

extern "C" __global__ void cast_bf16_f32(const bf16 *from, float *to, int64_t count) { convert(from, to, count); }
