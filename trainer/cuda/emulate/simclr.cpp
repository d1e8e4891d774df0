// Views of images: the bits of the CPU, by the hashes in trainer/src/augment/simclr/tests.rs; in bf16, those rounded.
#include "check.h"
#include "../../src/augment/simclr/kernel.cu"

static const Counter COUNTER = {{7, 0}, 4u << 24, 3}; // seed 7, for training, step 3
static const uint32_t INDICES[] = {3, 19, 0, 7, 8, 11}, COUNT = 6, VIEWS = 2, IMAGES = 20;

// As `Sampler::new` for strengths (brightness = saturation, contrast, hue); probabilities are the default.
static Sampler sampler(uint32_t height, uint32_t width, uint32_t size, float least, float low, float high, float brightness, float contrast, float hue, uint32_t channels = 3, float blur = 0.f) {
    Sampler s = {height, width, size, channels, (float)(height * width), {least, 1.f - least}, {(float)log((double)low), (float)(log((double)high) - log((double)low))},
                 0.5f, 0.8f, 0.2f, {}, {}, blur, {0.1f, 2.f - 0.1f}, size / 10 / 2, {}};
    const float strengths[3] = {brightness, contrast, brightness};
    for (int i = 0; i < 3; i++) {
        s.lower[i] = fmaxf(1.f - strengths[i], 0.f);
        s.length[i] = (1.f + strengths[i]) - s.lower[i];
    }
    s.lower[3] = -hue;
    s.length[3] = 2.f * hue;
    const double ratio = (double)width / height;
    s.fallback = {0, 0, height, width};
    if (ratio < low) s.fallback.height = (uint32_t)rint(width / (double)low);
    if (ratio > high) s.fallback.width = (uint32_t)rint(height * (double)high);
    s.fallback.top = (height - s.fallback.height) / 2;
    s.fallback.left = (width - s.fallback.width) / 2;
    return s;
}

static void same_bits(const std::string &name, const Sampler &s, uint64_t expected) {
    Buffer<uint8_t> images((size_t)IMAGES * s.channels * s.height * s.width);
    for (uint32_t i = 0; i < images.count; i++) images[i] = (uint8_t)(philox4x32({i, 0, 0, 0}, {0, 0}).word[0] >> 24);
    const size_t length = (size_t)s.channels * s.size * s.size, total = VIEWS * COUNT * length;
    Buffer<float> views(total);
    Buffer<__nv_bfloat16> rounded_views(total);
    Buffer<float> scratch(s.blur_probability > 0 ? total : 0);
    emulate::launch({VIEWS * COUNT}, {LANES}, [&] { augment_simclr_f32(images.data(), IMAGES, INDICES, COUNT, s, COUNTER, views.data(), scratch.data()); });
    emulate::launch({VIEWS * COUNT}, {LANES}, [&] { augment_simclr_bf16(images.data(), IMAGES, INDICES, COUNT, s, COUNTER, rounded_views.data(), scratch.data()); });
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < total * sizeof(float); i++) hash = (hash ^ ((const uint8_t *)views.data())[i]) * 0x100000001b3;
    if (hash != expected) {
        printf("simclr %s: views hash to %016llx, on the CPU to %016llx\n", name.c_str(), (unsigned long long)hash, (unsigned long long)expected);
        failures++;
    }
    compare("simclr f32", views, views.values(), 0); // for the fences
    compare("simclr bf16", rounded_views, views.values(), 0);
    failures += !scratch.fences_hold();
    // An image that does not exist.
    const uint32_t outside = IMAGES;
    emulate::launch({1}, {LANES}, [&] { augment_simclr_f32(images.data(), IMAGES, &outside, 1, s, COUNTER, views.data(), scratch.data()); });
    for (size_t i = 0; i < length; i++) failures += views[i] == views[i];
}

CHECK(simclr) {
    same_bits("32 x 32", sampler(32, 32, 32, 0.08f, 0.75f, 4.f / 3.f, 0.4f, 0.4f, 0.1f), 0xb0850639b8624a5c);
    same_bits("strong", sampler(14, 26, 21, 0.5f, 0.5f, 2.f, 0.8f, 1.5f, 0.5f), 0xd2f85a22fa480142);
    same_bits("flat", sampler(5, 64, 8, 0.5f, 0.5f, 0.5f, 0.4f, 0.4f, 0.1f), 0xa2cc8786a14fe8b9);
    same_bits("grey", sampler(28, 28, 32, 0.08f, 0.75f, 4.f / 3.f, 0.4f, 0.4f, 0.1f, 1), 0xc6d171925b057191);
    same_bits("blurred", sampler(80, 50, 60, 0.08f, 0.75f, 4.f / 3.f, 0.4f, 0.4f, 0.1f, 3, 0.7f), 0x712b5a1365188784);
    same_bits("blurred, grey", sampler(30, 28, 270, 0.01f, 0.75f, 4.f / 3.f, 0.4f, 0.4f, 0.1f, 1, 0.7f), 0xcf728d1f1924acc9);
}
