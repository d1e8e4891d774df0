// Rows of unit length: u = z/|z|; z [R, D]; u and the inverse lengths 1/|z| [R] are f32.
//
//   dz = (du - u·<u, du>) / |z|
//
// A zero row stays zero and gets a zero gradient: its inverse length counts as 0. Where the sum of squares overflows or
// is NaN the inverse length is NaN: with 1/inf = 0 the rows of a diverged run would look like zero rows.
//
// One block a row, a power of two of at most 256 threads.
#include "../kernel.cuh"

template <typename T> __device__ __forceinline__ void forward(const T *z, float *unit, float *inverses, int64_t rows, int columns) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0.f;
        for (int k = threadIdx.x; k < columns; k += blockDim.x) {
            const float value = to_float(z[row * columns + k]);
            sum += value * value;
        }
        sum = block_sum<256>(sum);
        const float inverse = sum == 0.f ? 0.f : sum < INFINITY ? 1.f / sqrtf(sum) : NAN;
        if (threadIdx.x == 0) inverses[row] = inverse;
        for (int k = threadIdx.x; k < columns; k += blockDim.x) unit[row * columns + k] = to_float(z[row * columns + k]) * inverse;
    }
}

template <typename T>
__device__ __forceinline__ void backward(const float *unit, const float *inverses, const float *gradient, T *dz, int64_t rows, int columns) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0.f;
        for (int k = threadIdx.x; k < columns; k += blockDim.x) sum += unit[row * columns + k] * gradient[row * columns + k];
        const float product = block_sum<256>(sum), inverse = inverses[row];
        for (int k = threadIdx.x; k < columns; k += blockDim.x) {
            const int64_t place = row * columns + k;
            dz[place] = from_float<T>((gradient[place] - unit[place] * product) * inverse);
        }
    }
}

#define DEFINE(NAME, T)                                                                                                                    \
    extern "C" __global__ void normalise_forward_##NAME(const T *z, float *unit, float *inverses, int64_t rows, int columns) {              \
        forward<T>(z, unit, inverses, rows, columns);                                                                                       \
    }                                                                                                                                      \
    extern "C" __global__ void normalise_backward_##NAME(const float *unit, const float *inverses, const float *gradient, T *dz,            \
                                                         int64_t rows, int columns) {                                                      \
        backward<T>(unit, inverses, gradient, dz, rows, columns);                                                                           \
    }
DEFINE(f32, float)
DEFINE(bf16, bf16)
