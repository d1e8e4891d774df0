// Runs CUDA kernels on a CPU: a translation unit includes this, then a kernel.cu.
//
// The blocks of a launch run one after the other. The threads of a block are fibres on one thread of the operating
// system: each runs to its next __syncthreads(), then the next one runs, in the order of `emulate::order`. A kernel
// without a data race gives the same bits in every order; a missing barrier shows as a difference between orders. A
// barrier that only a part of the block reaches ends the program with a message. Shared memory is static storage, which
// the blocks use in turn.
#pragma once
#include "cuda_bf16.h"
#include <functional>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static
#define __syncthreads() emulate::barrier()
#define threadIdx emulate::thread_index
#define blockIdx emulate::block_index
#define blockDim emulate::block_size
#define gridDim emulate::grid_size

inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

namespace emulate {

struct Index {
    unsigned x = 1, y = 1, z = 1;
};

// In which order the threads of a block run between two barriers.
enum Order { FORWARD, BACKWARD, INTERLEAVED };

inline Index thread_index, block_index, block_size, grid_size;
inline Order order = FORWARD;

// A fibre is made once and runs one thread of each block after the other. ucontext gives it its stack; after that
// _setjmp and _longjmp switch, which, unlike swapcontext, make no system call.
struct Fibre {
    jmp_buf place;
    Index index;
    bool done;
    std::vector<char> stack;
};

const size_t STACK = 128 << 10;
inline jmp_buf scheduler;
inline std::vector<Fibre *> fibres;
inline size_t current;
inline const std::function<void()> *body;

inline void barrier() {
    Fibre *self = fibres[current];
    if (_setjmp(self->place) == 0) _longjmp(scheduler, 1);
}

inline void live() {
    for (;;) {
        fibres[current]->done = true;
        barrier(); // until the next block
        (*body)();
    }
}

inline void create_fibres(size_t count) {
    while (fibres.size() < count) {
        Fibre *fibre = new Fibre;
        fibre->stack.resize(STACK);
        fibres.push_back(fibre);
        current = fibres.size() - 1;
        ucontext_t context;
        getcontext(&context);
        context.uc_stack.ss_sp = fibre->stack.data();
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, live, 0);
        if (_setjmp(scheduler) == 0) setcontext(&context);
    }
}

inline void resume(size_t fibre) {
    current = fibre;
    thread_index = fibres[fibre]->index;
    if (_setjmp(scheduler) == 0) _longjmp(fibres[fibre]->place, 1);
}

inline size_t place(size_t turn, size_t count) {
    if (order == BACKWARD) return count - 1 - turn;
    // First the odd threads, then the even ones.
    if (order == INTERLEAVED) return turn < count / 2 ? 2 * turn + 1 : 2 * (turn - count / 2);
    return turn;
}

inline void run_block() {
    const size_t count = (size_t)block_size.x * block_size.y * block_size.z;
    for (size_t i = 0; i < count; i++) {
        const unsigned k = (unsigned)i;
        fibres[i]->index = {k % block_size.x, k / block_size.x % block_size.y, k / block_size.x / block_size.y};
        fibres[i]->done = false;
    }
    for (size_t running = count; running > 0;) {
        const size_t before = running;
        for (size_t turn = 0; turn < count; turn++) {
            const size_t fibre = place(turn, count);
            if (fibres[fibre]->done) continue;
            resume(fibre);
            if (fibres[fibre]->done) running--;
        }
        if (running != 0 && running != before) {
            fprintf(stderr, "%zu threads of a block wait at a barrier that %zu others never reach\n", running, before - running);
            exit(1);
        }
    }
}

// kernel<<<grid, block>>>(…) is launch(grid, block, [&] { kernel(…); }).
inline void launch(Index grid, Index block, const std::function<void()> &kernel) {
    grid_size = grid;
    block_size = block;
    body = &kernel;
    const size_t count = (size_t)block.x * block.y * block.z;
    if (count == 0 || count > 1024) {
        fprintf(stderr, "a block of %zu threads\n", count);
        exit(1);
    }
    create_fibres(count);
    for (block_index.z = 0; block_index.z < grid.z; block_index.z++)
        for (block_index.y = 0; block_index.y < grid.y; block_index.y++)
            for (block_index.x = 0; block_index.x < grid.x; block_index.x++) run_block();
}

} // namespace emulate
