// The mean over positions and its gradient.
#include "check.h"
#include "../../src/ops/pool/kernel.cu"

template <typename T, typename Forward, typename Backward>
static void one(const std::string &type, Forward forward, Backward backward, int64_t batch, int positions, int channels) {
    Buffer<T> x(batch * positions * channels), y(batch * channels), dy(y.count), dx(x.count);
    x.fill_normal();
    dy.fill_normal();
    std::vector<double> mean(y.count), back(x.count);
    for (int64_t n = 0; n < batch; n++)
        for (int p = 0; p < positions; p++)
            for (int c = 0; c < channels; c++) {
                mean[n * channels + c] += number(x[(n * positions + p) * channels + c]) / positions;
                back[(n * positions + p) * channels + c] = number(dy[n * channels + c]) / positions;
            }
    emulate::launch({2}, {64}, [&] { forward(x.data(), y.data(), batch, positions, channels); });
    emulate::launch({2}, {64}, [&] { backward(dy.data(), dx.data(), batch, positions, channels); });
    compare("pool forward " + type, y, mean, 2e-6);
    compare("pool backward " + type, dx, back, 1e-6);
}

CHECK(pool) {
    for (int64_t batch : {1, 5})
        for (int positions : {1, 16, 49})
            for (int channels : {1, 6, 24}) {
                one<float>("f32", pool_forward_f32, pool_backward_f32, batch, positions, channels);
                one<bf16>("bf16", pool_forward_bf16, pool_backward_bf16, batch, positions, channels);
                if (channels % 8) continue;
                one<float>("f32 vector", pool_forward_f32_vector, pool_backward_f32_vector, batch, positions, channels);
                one<bf16>("bf16 vector", pool_forward_bf16_vector, pool_backward_bf16_vector, batch, positions, channels);
            }
}
