// The kernels of every operation. A new one is one more namespace and one more line in the table.
#include "kernels.h"

#include "../../../src/ops/kernel.cuh"
#include "../../../src/ops/philox.cuh"

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
namespace max_pool {
#include "../../../src/ops/max_pool/kernel.cu"
#undef DEFINE
} // namespace max_pool
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
namespace select_ranks {
#include "../../../src/ops/select/kernel.cu"
} // namespace select_ranks
namespace sums {
#include "../../../src/ops/sums/kernel.cu"
} // namespace sums

namespace simclr {
#include "../../../src/augment/simclr/kernel.cu"
} // namespace simclr

#define ONE(SPACE, NAME) {#NAME, binder(SPACE::NAME)},
#define TWO(SPACE, NAME) ONE(SPACE, NAME##_f32) ONE(SPACE, NAME##_bf16)
#define FOUR(SPACE, NAME) TWO(SPACE, NAME) ONE(SPACE, NAME##_f32_vector) ONE(SPACE, NAME##_bf16_vector)

const std::map<std::string, Binder> &kernels() {
    static std::map<std::string, Binder> table = {
        FOUR(batch_norm, batch_norm_moments) FOUR(batch_norm, batch_norm_apply) FOUR(batch_norm, batch_norm_reduce)
        FOUR(batch_norm, batch_norm_input_gradient) ONE(batch_norm, batch_norm_statistics) ONE(batch_norm, batch_norm_running_statistics)
        ONE(cast, cast_f32_bf16) ONE(cast, cast_bf16_f32)
        FOUR(conv, conv_image_to_columns) FOUR(conv, conv_columns_to_image) FOUR(conv, conv_add)
        ONE(info_nce, info_nce_rows) ONE(info_nce, info_nce_mean)
        FOUR(linear, linear_add_bias) FOUR(linear, linear_reduce)
        FOUR(max_pool, max_pool_forward) FOUR(max_pool, max_pool_backward)
        TWO(normalise, normalise_forward) TWO(normalise, normalise_backward)
        ONE(optimiser, optimiser_set) ONE(optimiser, optimiser_square_sums) ONE(optimiser, optimiser_momentum) ONE(optimiser, optimiser_adamw)
        FOUR(pool, pool_forward) FOUR(pool, pool_backward)
        ONE(select_ranks, select_rows) ONE(select_ranks, select_total)
        ONE(sums, sums_combine)
        TWO(simclr, augment_simclr)
    };
    static const bool complete = (add_candle_kernels(table), true);
    return (void)complete, table;
}
