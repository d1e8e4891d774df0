// f32 to bf16 and back: bf16 values survive, others go to the nearest.
#include "check.h"
#include "../../src/ops/cast/kernel.cu"

CHECK(cast) {
    for (int64_t count : {1, 77, 1000}) {
        Buffer<float> x(count), again(count);
        Buffer<bf16> narrow(count);
        x.fill_normal();
        emulate::launch({2}, {64}, [&] { cast_f32_bf16(x.data(), narrow.data(), count); });
        emulate::launch({2}, {64}, [&] { cast_bf16_f32(narrow.data(), again.data(), count); });
        compare("cast f32 to bf16", narrow, x.values(), 0);
        compare("cast bf16 to f32", again, narrow.values(), 0);
    }
    // A tie goes to the even neighbour: 1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3·2^-8 between 1 + 2^-7 and 1 + 2^-6.
    Buffer<float> ties(2);
    Buffer<bf16> found(2);
    ties[0] = 1 + 1.f / 256;
    ties[1] = 1 + 3.f / 256;
    emulate::launch({1}, {32}, [&] { cast_f32_bf16(ties.data(), found.data(), 2); });
    compare("cast ties", found, {1, 1 + 1.0 / 64}, 0);
}
