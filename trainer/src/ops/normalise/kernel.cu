// Rows of unit length: u = z/r with r = sqrt(|z|^2 + 1e-24), so that a zero row stays zero. z [R, D]; r [R] and u are f32.
//
//   dz = (du - u·<u, du>) / r
//
// One block a row, a power of two of at most 256 threads.
#include "../kernel.cuh"

template <typename T> __device__ __forceinline__ void forward(const T *z, float *unit, float *lengths, int64_t rows, int columns) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0.f;
        for (int k = threadIdx.x; k < columns; k += blockDim.x) {
            const float value = to_float(z[row * columns + k]);
            sum += value * value;
        }
        const float length = sqrtf(block_sum<256>(sum) + 1e-24f);
        if (threadIdx.x == 0) lengths[row] = length;
        for (int k = threadIdx.x; k < columns; k += blockDim.x) unit[row * columns + k] = to_float(z[row * columns + k]) / length;
    }
}

template <typename T>
__device__ __forceinline__ void backward(const float *unit, const float *lengths, const float *gradient, T *dz, int64_t rows, int columns) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0.f;
        for (int k = threadIdx.x; k < columns; k += blockDim.x) sum += unit[row * columns + k] * gradient[row * columns + k];
        const float product = block_sum<256>(sum), length = lengths[row];
        for (int k = threadIdx.x; k < columns; k += blockDim.x) {
            const int64_t place = row * columns + k;
            dz[place] = from_float<T>((gradient[place] - unit[place] * product) / length);
        }
    }
}

#define DEFINE(NAME, T)                                                                                                                    \
    extern "C" __global__ void normalise_forward_##NAME(const T *z, float *unit, float *lengths, int64_t rows, int columns) {              \
        forward<T>(z, unit, lengths, rows, columns);                                                                                       \
    }                                                                                                                                      \
    extern "C" __global__ void normalise_backward_##NAME(const float *unit, const float *lengths, const float *gradient, T *dz,            \
                                                         int64_t rows, int columns) {                                                      \
        backward<T>(unit, lengths, gradient, dz, rows, columns);                                                                           \
    }
DEFINE(f32, float)
DEFINE(bf16, bf16)
