// Max pooling and its gradient.
#include "check.h"
#include "../../src/ops/max_pool/kernel.cu"

template <typename T, typename Forward, typename Backward>
static void one(const std::string &type, Forward forward, Backward backward, int batch, int height, int width, int channels) {
    const int rows = (height + 1) / 2, columns = (width + 1) / 2;
    Buffer<T> x((size_t)batch * height * width * channels), y((size_t)batch * rows * columns * channels), dy(y.count), dx(x.count);
    // Rounded to halves, so that many values are equal.
    for (size_t i = 0; i < x.count; i++) x[i] = rounded<T>(round(2 * normal()) / 2);
    dy.fill_normal();
    std::vector<double> largest(y.count), back(x.count);
    for (size_t index = 0; index < y.count; index++) {
        const int c = index % channels, j = index / channels % columns, i = index / channels / columns % rows;
        const size_t image = index / channels / columns / rows;
        size_t best = SIZE_MAX;
        for (int h = 0; h < height; h++)
            for (int w = 0; w < width; w++) {
                if (abs(h - 2 * i) > 1 || abs(w - 2 * j) > 1) continue;
                const size_t at = ((image * height + h) * width + w) * channels + c;
                if (best == SIZE_MAX || number(x[at]) > number(x[best])) best = at;
            }
        largest[index] = number(x[best]);
        back[best] += number(dy[index]);
    }
    emulate::launch({2}, {64}, [&] { forward(x.data(), y.data(), batch, height, width, channels); });
    emulate::launch({2}, {64}, [&] { backward(x.data(), dy.data(), dx.data(), batch, height, width, channels); });
    compare("max pool forward " + type, y, largest, 0);
    compare("max pool backward " + type, dx, back, 1e-6);
}

CHECK(max_pool) {
    for (int batch : {1, 3})
        for (int height : {1, 6, 7})
            for (int width : {1, 4, 9})
                for (int channels : {1, 6, 24}) {
                    one<float>("f32", max_pool_forward_f32, max_pool_backward_f32, batch, height, width, channels);
                    one<bf16>("bf16", max_pool_forward_bf16, max_pool_backward_bf16, batch, height, width, channels);
                    if (channels % 8) continue;
                    one<float>("f32 vector", max_pool_forward_f32_vector, max_pool_backward_f32_vector, batch, height, width, channels);
                    one<bf16>("bf16 vector", max_pool_forward_bf16_vector, max_pool_backward_bf16_vector, batch, height, width, channels);
                }
}
