// The second level of a sum over many rows; the first leaves partial sums of runs of rows.
#include "../kernel.cuh"

extern "C" __global__ void sums_combine(const float *partial, float *sums, int chunks, int columns) {
    combine_sums(partial, sums, chunks, columns);
}
