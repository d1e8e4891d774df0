// The kernels of every operation. A new one is one more namespace and one more line in the table.
#include "kernels.h"

#include "../../../src/ops/kernel.cuh"

namespace batch_norm {
#include "../../../src/ops/batch_norm/kernel.cu"
#undef DEFINE
} // namespace batch_norm
namespace cast {
#include "../../../src/ops/cast/kernel.cu"
} // namespace cast
namespace conv {
#include "../../../src/ops/conv/kernel.cu"
#undef DEFINE
} // namespace conv
namespace info_nce {
#include "../../../src/ops/info_nce/kernel.cu"
} // namespace info_nce
namespace linear {
#include "../../../src/ops/linear/kernel.cu"
#undef DEFINE
} // namespace linear
namespace normalise {
#include "../../../src/ops/normalise/kernel.cu"
#undef DEFINE
} // namespace normalise
namespace optimiser {
#include "../../../src/ops/optimiser/kernel.cu"
} // namespace optimiser
namespace pool {
#include "../../../src/ops/pool/kernel.cu"
#undef DEFINE
} // namespace pool
namespace sums {
#include "../../../src/ops/sums/kernel.cu"
} // namespace sums

namespace simclr {
#include "../../../src/augment/simclr/kernel.cu"
} // namespace simclr

// The one kernel of candle itself that a step calls (Tensor::slice_set): rows of d2 elements from one pitch to another.
namespace candle {
template <typename T> void copy2d(const T *from, T *to, uint32_t d1, uint32_t d2, uint32_t from_pitch, uint32_t to_pitch) {
    const uint32_t stride = gridDim.x * blockDim.x;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < d1 * d2; i += stride) to[i / d2 * to_pitch + i % d2] = from[i / d2 * from_pitch + i % d2];
}
} // namespace candle

#define ONE(SPACE, NAME) {#NAME, binder(SPACE::NAME)},
#define TWO(SPACE, NAME) ONE(SPACE, NAME##_f32) ONE(SPACE, NAME##_bf16)
#define FOUR(SPACE, NAME) TWO(SPACE, NAME) ONE(SPACE, NAME##_f32_vector) ONE(SPACE, NAME##_bf16_vector)

const std::map<std::string, Binder> &kernels() {
    static const std::map<std::string, Binder> table = {
        FOUR(batch_norm, batch_norm_moments) FOUR(batch_norm, batch_norm_apply) FOUR(batch_norm, batch_norm_reduce)
        FOUR(batch_norm, batch_norm_input_gradient) ONE(batch_norm, batch_norm_statistics) ONE(batch_norm, batch_norm_running_statistics)
        ONE(cast, cast_f32_bf16) ONE(cast, cast_bf16_f32)
        FOUR(conv, conv_image_to_columns) FOUR(conv, conv_columns_to_image)
        ONE(info_nce, info_nce_rows) ONE(info_nce, info_nce_mean)
        FOUR(linear, linear_add_bias) FOUR(linear, linear_reduce)
        TWO(normalise, normalise_forward) TWO(normalise, normalise_backward)
        ONE(optimiser, optimiser_set) ONE(optimiser, optimiser_square_sums) ONE(optimiser, optimiser_momentum) ONE(optimiser, optimiser_adamw)
        FOUR(pool, pool_forward) FOUR(pool, pool_backward)
        ONE(sums, sums_combine)
        TWO(simclr, augment_simclr)
        {"copy2d_f32", binder(candle::copy2d<float>)},
    };
    return table;
}
