// NT-Xent over 2n unit rows z, the loss of SimCLR, from their products s = z·z^T [2n, 2n] in f32:
//
//   loss_i = ln sum_{j != i} e^{s_ij / t} - s_ip / t,  p = (i + n) mod 2n
//   G_ij = (softmax_j - [j = p]) / (2n·t), G_ii = 0, written over s;  the mean loss has dz = (G + G^T)·z
//
// With rest = the sum over the negatives j != i, p, kept apart from the positive: loss_i = log1p(rest) where the
// positive is the largest, 1 - softmax_p = rest / sum. A loss of 5e-7, as at t = 0.05 and cosines 0, would leave no
// digit in log(1 + rest) nor in 1 - softmax_p.
//
// One block a row, a power of two of at most 256 threads. Each row is shifted by its own maximum, so any t > 0 is
// stable.
#include "../kernel.cuh"

extern "C" __global__ void info_nce_rows(float *products, float *losses, int half, float temperature) {
    const int rows = 2 * half;
    const float scale = 1.f / temperature, share = 1.f / ((float)rows * temperature);
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        float *s = products + row * rows;
        const int anchor = (int)row, positive = anchor < half ? anchor + half : anchor - half;
        float largest = -INFINITY;
        for (int j = threadIdx.x; j < rows; j += blockDim.x)
            if (j != anchor) largest = fmaxf(largest, s[j]);
        largest = block_max<256>(largest);
        float rest = 0.f;
        for (int j = threadIdx.x; j < rows; j += blockDim.x)
            if (j != anchor && j != positive) rest += expf((s[j] - largest) * scale);
        rest = block_sum<256>(rest);
        const float of_positive = s[positive];
        const float sum = rest + expf((of_positive - largest) * scale);
        // A NaN positive takes the second form and stays one: fmaxf passes it over.
        if (threadIdx.x == 0) losses[row] = of_positive >= largest ? log1pf(rest) : logf(sum) + (largest - of_positive) * scale;
        __syncthreads(); // s[positive] is read before another thread overwrites it
        for (int j = threadIdx.x; j < rows; j += blockDim.x) {
            const float chance = j == positive ? -rest / sum : expf((s[j] - largest) * scale) / sum;
            s[j] = j == anchor ? 0.f : chance * share;
        }
    }
}

// mean[0] = sum of the losses / rows, in the order of a binary tree. One block.
extern "C" __global__ void info_nce_mean(const float *losses, float *mean, int rows) {
    float sum = 0.f;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) sum += losses[row];
    sum = block_sum<256>(sum);
    if (threadIdx.x == 0) mean[0] = sum / (float)rows;
}
