// im2col and col2im against the sums that define them.
#include "check.h"
#include "../../src/ops/conv/kernel.cu"

template <typename T, typename Forward, typename Backward>
static void one(const std::string &type, Forward forward, Backward backward, Geometry g) {
    const size_t pixels = (size_t)g.batch * g.height * g.width, places = (size_t)g.batch * g.out_height * g.out_width;
    const size_t taps = (size_t)g.kernel_height * g.kernel_width;
    Buffer<T> x(pixels * g.channels), column(places * taps * g.channels), gradient(column.count), dx(x.count);
    x.fill_normal();
    gradient.fill_normal();
    std::vector<double> columns(column.count, 0.0), image(x.count, 0.0);
    for (int n = 0; n < g.batch; n++)
        for (int p = 0; p < g.out_height; p++)
            for (int q = 0; q < g.out_width; q++)
                for (int i = 0; i < g.kernel_height; i++)
                    for (int j = 0; j < g.kernel_width; j++)
                        for (int c = 0; c < g.channels; c++) {
                            const int h = p * g.stride + i - g.padding, w = q * g.stride + j - g.padding;
                            if (h < 0 || h >= g.height || w < 0 || w >= g.width) continue;
                            const size_t pixel = (((size_t)n * g.height + h) * g.width + w) * g.channels + c;
                            const size_t row = ((size_t)n * g.out_height + p) * g.out_width + q;
                            const size_t cell = (row * taps + i * g.kernel_width + j) * g.channels + c;
                            columns[cell] = number(x[pixel]);
                            image[pixel] += number(gradient[cell]);
                        }
    emulate::launch({3}, {64}, [&] { forward(x.data(), column.data(), g); });
    emulate::launch({3}, {64}, [&] { backward(gradient.data(), dx.data(), g, 0); });
    compare("conv image to columns " + type, column, columns, 0);
    compare("conv columns to image " + type, dx, image, 1e-6);
    const std::vector<double> before = dx.values();
    for (size_t i = 0; i < image.size(); i++) image[i] += before[i];
    emulate::launch({3}, {64}, [&] { backward(gradient.data(), dx.data(), g, 1); });
    compare("conv columns added to image " + type, dx, image, 1e-6);
}

template <typename T> static void sum(const std::string &type, void (*add)(T *, const T *, int64_t), int64_t packs, int pack) {
    Buffer<T> more(packs * pack), total(packs * pack);
    more.fill_normal();
    total.fill_normal();
    std::vector<double> expected = total.values();
    for (size_t i = 0; i < expected.size(); i++) expected[i] += number(more[i]);
    emulate::launch({3}, {64}, [&] { add(total.data(), more.data(), packs); });
    compare("conv sum " + type, total, expected, 1e-7);
}

CHECK(conv) {
    sum<float>("f32", conv_add_f32, 1001, 1);
    sum<bf16>("bf16", conv_add_bf16, 1001, 1);
    sum<float>("f32 vector", conv_add_f32_vector, 250, 4);
    sum<bf16>("bf16 vector", conv_add_bf16_vector, 130, 8);
    for (int channels : {1, 3, 8, 16})
        for (int kernel : {1, 3})
            for (int stride : {1, 2})
                for (int height : {1, 4, 7}) {
                    Geometry g = {2, height, 5, channels, 0, 0, kernel, kernel, stride, kernel / 2};
                    g.out_height = (height + 2 * g.padding - kernel) / stride + 1;
                    g.out_width = (5 + 2 * g.padding - kernel) / stride + 1;
                    one<float>("f32", conv_image_to_columns_f32, conv_columns_to_image_f32, g);
                    one<bf16>("bf16", conv_image_to_columns_bf16, conv_columns_to_image_bf16, g);
                    if (channels % 8) continue;
                    one<float>("f32 vector", conv_image_to_columns_f32_vector, conv_columns_to_image_f32_vector, g);
                    one<bf16>("bf16 vector", conv_image_to_columns_bf16_vector, conv_columns_to_image_bf16_vector, g);
                }
    // No padding, kernel 5 by 2, stride 3: pixels that no window covers.
    one<float>("f32", conv_image_to_columns_f32, conv_columns_to_image_f32, {1, 9, 6, 2, 2, 2, 5, 2, 3, 0});
}
