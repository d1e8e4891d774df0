// A stand-in for libcuda, libcublas and libcurand on a machine without a GPU: memory is the host's, kernels run in the
// emulator, matrix products are loops. It holds what cudarc and the launches of `trainer` call, so that the Rust side
// (the order and types of arguments, sizes of grids and buffers, transpositions) is proven without a GPU. cuDNN is in
// cudnn.cpp. Memory is born NaN and fenced; a write beyond a fence ends the program when the memory is freed. What differs from
// machine to machine is set by the EMULATE_… variables of ../../README.md.
#include "device.h"
#include <mutex>

namespace {

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, NOT_FOUND = 500, NOT_SUPPORTED = 801, NOT_WHILE_CAPTURING = 900, CAPTURE_INVALIDATED = 901 };
const size_t FENCE = 256;

// Never destroyed: a thread may free memory while the program ends.
std::recursive_mutex &gate = *new std::recursive_mutex;
std::map<uint64_t, size_t> &allocations = *new std::map<uint64_t, size_t>;
std::map<uint64_t, bool> &recorded = *new std::map<uint64_t, bool>; // allocations made while recording
uint64_t in_use = 0, most = 0, in_graphs = 0; // memory that a graph allocates is no part of the pool
bool capturing = false;
bool broken = false; // the recording: it must still be ended
std::vector<Bound> *recording = nullptr;
bool cublas_has_workspace = false;

bool is_set(const char *name) { return getenv(name) != nullptr; }
int number(const char *name, int otherwise) { return is_set(name) ? atoi(getenv(name)) : otherwise; }
bool has_pools() { return !is_set("EMULATE_NO_POOLS"); }

uint64_t allocate(size_t bytes) {
    std::lock_guard<std::recursive_mutex> hold(gate);
    char *base = (char *)aligned_alloc(256, (bytes + 2 * FENCE + 255) / 256 * 256);
    memset(base, 0xff, bytes + 2 * FENCE);
    allocations[(uint64_t)(base + FENCE)] = bytes;
    (capturing ? in_graphs : in_use) += bytes;
    most = in_use > most ? in_use : most;
    recorded[(uint64_t)(base + FENCE)] = capturing;
    return (uint64_t)(base + FENCE);
}

int release(uint64_t address) {
    std::lock_guard<std::recursive_mutex> hold(gate);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    // As the driver: only a graph's own memory is freed in a graph, and what is forbidden spoils the recording.
    if (capturing && !recorded[address]) return broken = true, INVALID_VALUE;
    const unsigned char *start = (unsigned char *)address - FENCE, *end = (unsigned char *)address + found->second;
    for (size_t i = 0; i < FENCE; i++)
        if (start[i] != 0xff || end[i] != 0xff) {
            fprintf(stderr, "a kernel wrote outside an allocation of %zu bytes\n", found->second);
            abort();
        }
    // A recorded graph may still use the memory.
    if (!capturing) {
        (recorded[address] ? in_graphs : in_use) -= found->second;
        allocations.erase(found);
        free((void *)(address - FENCE));
    }
    return SUCCESS;
}

} // namespace

void submit(const Bound &work) {
    std::lock_guard<std::recursive_mutex> hold(gate);
    if (capturing) recording->push_back(work);
    else work();
}

extern "C" {

typedef uint64_t CUdeviceptr;

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return *version = number("EMULATE_DRIVER", 13000), SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = number("EMULATE_DEVICES", 1), SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, ordinal < number("EMULATE_DEVICES", 1) ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "emulated"), SUCCESS; }
int cuDeviceGetAttribute(int *value, int attribute, int) {
    const int capability = number("EMULATE_CAPABILITY", 80);
    switch (attribute) {
    case 75: return *value = capability / 10, SUCCESS;
    case 76: return *value = capability % 10, SUCCESS;
    case 115: return *value = has_pools(), SUCCESS;
    default: return *value = 1, SUCCESS;
    }
}
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)16, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void *) { return SUCCESS; }
int cuCtxGetCurrent(void **context) { return *context = (void *)16, SUCCESS; }
int cuCtxSynchronize() { return SUCCESS; }
int cuGetErrorName(int code, const char **text) { return *text = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "error", SUCCESS; }
int cuGetErrorString(int, const char **text) { return *text = "error of the emulated device", SUCCESS; }

int cuStreamCreate(void **stream, unsigned) { return *stream = (void *)32, SUCCESS; }
int cuStreamDestroy_v2(void *) { return SUCCESS; }
int cuStreamSynchronize(void *) { return capturing ? (broken = true, NOT_WHILE_CAPTURING) : SUCCESS; }
int cuStreamWaitEvent(void *, void *, unsigned) { return SUCCESS; }
int cuEventCreate(void **event, unsigned) { return *event = (void *)48, SUCCESS; }
int cuEventRecord(void *, void *) { return SUCCESS; }
int cuEventDestroy_v2(void *) { return SUCCESS; }

int cuDeviceGetDefaultMemPool(void **pool, int) { return *pool = (void *)128, has_pools() ? SUCCESS : NOT_SUPPORTED; }
int cuMemPoolSetAttribute(void *, int attribute, uint64_t *value) { return attribute == 4 && *value == ~0ULL ? SUCCESS : INVALID_VALUE; }
int cuMemPoolGetAttribute(void *, int attribute, uint64_t *value) {
    // What is in use, and the most that was.
    if (attribute != 7 && attribute != 8) return INVALID_VALUE;
    return *value = attribute == 7 ? in_use : most, SUCCESS;
}
// 0: what graphs hold; 1: the most that they held, as nothing is given back here.
int cuDeviceGetGraphMemAttribute(int, int attribute, uint64_t *value) {
    return attribute == 0 || attribute == 1 ? (*value = in_graphs, SUCCESS) : INVALID_VALUE;
}
static int allocate_checked(CUdeviceptr *address, size_t bytes) {
    const char *limit = getenv("EMULATE_MEMORY");
    if (bytes == 0) return INVALID_VALUE;
    if (limit && in_use + in_graphs + bytes > strtoull(limit, nullptr, 10)) return OUT_OF_MEMORY;
    return *address = allocate(bytes), SUCCESS;
}
int cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) { return capturing ? NOT_WHILE_CAPTURING : allocate_checked(address, bytes); }
int cuMemAllocAsync(CUdeviceptr *address, size_t bytes, void *) { return has_pools() ? allocate_checked(address, bytes) : NOT_SUPPORTED; }
int cuMemFree_v2(CUdeviceptr address) { return release(address); }
int cuMemFreeAsync(CUdeviceptr address, void *) { return has_pools() ? release(address) : NOT_SUPPORTED; }
int cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, void *) {
    return submit([=] { memset((void *)to, value, bytes); }), SUCCESS;
}
int cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void *) {
    return submit([=] { memcpy((void *)to, (void *)from, bytes); }), SUCCESS;
}
int cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, void *) {
    if (capturing) return broken = true, NOT_WHILE_CAPTURING;
    return memcpy((void *)to, from, bytes), SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, void *) {
    if (capturing) return broken = true, NOT_WHILE_CAPTURING;
    return memcpy(to, (void *)from, bytes), SUCCESS;
}

int cuModuleLoadData(void **module, const void *) { return *module = (void *)64, SUCCESS; }
int cuModuleUnload(void *) { return SUCCESS; }
int cuModuleGetFunction(const Binder **function, void *, const char *name) {
    auto found = kernels().find(name);
    if (found == kernels().end()) return fprintf(stderr, "the emulated device has no kernel %s\n", name), NOT_FOUND;
    return *function = &found->second, SUCCESS;
}
int cuLaunchKernel(const Binder *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned, void *,
                   void **arguments, void **) {
    if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx * by * bz == 0 || bx * by * bz > 1024) return INVALID_VALUE;
    const Bound kernel = (*function)(arguments);
    submit([=] { emulate::launch({gx, gy, gz}, {bx, by, bz}, kernel); });
    return SUCCESS;
}

int cuStreamIsCapturing(void *, int *status) { return *status = capturing, SUCCESS; }
int cuStreamBeginCapture_v2(void *, int) {
    if (is_set("EMULATE_NO_GRAPHS")) return NOT_SUPPORTED;
    recording = new std::vector<Bound>;
    return capturing = true, broken = false, SUCCESS;
}
int cuStreamEndCapture(void *, std::vector<Bound> **graph) {
    capturing = false;
    if (broken) return delete recording, *graph = nullptr, CAPTURE_INVALIDATED;
    return *graph = recording, SUCCESS;
}
int cuGraphInstantiateWithFlags(std::vector<Bound> **executable, std::vector<Bound> *graph, unsigned long long) {
    return *executable = graph, SUCCESS;
}
int cuGraphGetNodes(std::vector<Bound> *graph, void *, size_t *count) { return *count = graph->size(), SUCCESS; }
int cuGraphLaunch(std::vector<Bound> *graph, void *) {
    if (is_set("EMULATE_NO_LAUNCHES")) return OUT_OF_MEMORY;
    for (const Bound &work : *graph) work();
    return SUCCESS;
}
int cuGraphExecDestroy(void *) { return SUCCESS; }
int cuGraphDestroy(std::vector<Bound> *graph) { return delete graph, SUCCESS; }

int cublasCreate_v2(void **handle) { return *handle = (void *)80, SUCCESS; }
int cublasDestroy_v2(void *) { return SUCCESS; }
int cublasGetProperty(int, int *value) { return *value = 13, SUCCESS; }
int cublasSetStream_v2(void *, void *) { return cublas_has_workspace = false, SUCCESS; } // as the library documents
int cublasSetWorkspace_v2(void *, void *memory, size_t bytes) {
    return cublas_has_workspace = memory != nullptr && (uint64_t)memory % 256 == 0 && bytes > 0, SUCCESS;
}

// Column-major C [m, n] = alpha·op(A)·op(B) + beta·C, as often as there are matrices in the batch; types 0 (f32) and 14 (bf16).
int cublasGemmStridedBatchedEx(void *, int transpose_a, int transpose_b, int m, int n, int k, const float *alpha, const void *a, int type_a,
                               int lda, long long stride_a, const void *b, int type_b, int ldb, long long stride_b, const float *beta, void *c,
                               int type_c, int ldc, long long stride_c, int batch, int, int) {
    // Without a workspace of its own the library would allocate one, which a recorded graph then holds.
    if (capturing && !cublas_has_workspace) return 14;
    const float scale = *alpha, keep = *beta;
    const bool narrow = is_set("EMULATE_F32_SUMS");
    submit([=] {
        const auto value = [](const void *from, int type, int64_t at) {
            return type == 0 ? ((const float *)from)[at] : __bfloat162float(((const __nv_bfloat16 *)from)[at]);
        };
        std::vector<double> rows((size_t)m * k), columns((size_t)n * k);
        for (int64_t matrix = 0; matrix < batch; matrix++) {
            // Row by row of op(A) and column by column of op(B).
            for (int i = 0; i < k; i++) {
                for (int row = 0; row < m; row++)
                    rows[(size_t)row * k + i] = value(a, type_a, matrix * stride_a + (transpose_a ? (int64_t)row * lda + i : (int64_t)i * lda + row));
                for (int column = 0; column < n; column++)
                    columns[(size_t)column * k + i] =
                        value(b, type_b, matrix * stride_b + (transpose_b ? (int64_t)i * ldb + column : (int64_t)column * ldb + i));
            }
            for (int column = 0; column < n; column++)
                for (int row = 0; row < m; row++) {
                    const double *left = &rows[(size_t)row * k], *right = &columns[(size_t)column * k];
                    double sum = 0;
                    float narrow_sum = 0;
                    if (narrow)
                        for (int i = 0; i < k; i++) narrow_sum += (float)left[i] * (float)right[i];
                    else
                        for (int i = 0; i < k; i++) sum += left[i] * right[i];
                    const int64_t at = matrix * stride_c + (int64_t)column * ldc + row;
                    sum = scale * (narrow ? narrow_sum : sum) + (keep == 0 ? 0 : keep * value(c, type_c, at));
                    if (type_c == 0) ((float *)c)[at] = (float)sum;
                    else ((__nv_bfloat16 *)c)[at] = __float2bfloat16((float)sum);
                }
        }
    });
    return SUCCESS;
}
int cublasGemmEx(void *handle, int transpose_a, int transpose_b, int m, int n, int k, const float *alpha, const void *a, int type_a, int lda,
                 const void *b, int type_b, int ldb, const float *beta, void *c, int type_c, int ldc, int compute, int algorithm) {
    return cublasGemmStridedBatchedEx(handle, transpose_a, transpose_b, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c, type_c,
                                      ldc, 0, 1, compute, algorithm);
}

int curandGetVersion(int *version) { return *version = 10400, SUCCESS; }
int curandCreateGenerator(void **generator, int) { return *generator = (void *)96, SUCCESS; }
int curandSetStream(void *, void *) { return SUCCESS; }
int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return SUCCESS; }
int curandDestroyGenerator(void *) { return SUCCESS; }

} // extern "C"
