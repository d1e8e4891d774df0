// A stand-in for the part of libcudnn that `trainer::device::cudnn` calls: convolutions as loops over the sizes in the
// descriptors. It refuses descriptors of the wrong kind or layout, and lists a nondeterministic algorithm first, which
// must not be chosen. Variables of the environment, read at each call, make it fail as the library may:
//
//   EMULATE_CUDNN_CREATE=1         no handle: a part of the library cannot be loaded
//   EMULATE_CUDNN_VERSION=8907     another version
//   EMULATE_CUDNN_HEURISTICS=1     no algorithm is listed: a part of the library cannot be loaded
//   EMULATE_CUDNN_FAIL=1,3         these algorithms are listed, and fail when they run
//   EMULATE_CUDNN_NO_SUM=1         no algorithm adds to what the output holds
//   EMULATE_F32_SUMS=1             sums in f32 instead of f64
#include "device.h"
#include <string>

namespace {

enum { SUCCESS = 0, SUBLIBRARY_LOADING_FAILED = 1008, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum Kind { TENSOR = 11, FILTER = 12, CONVOLUTION = 13 };
// The deterministic algorithms; FMA is the arithmetic of full f32.
const int FAST = 1, OTHER = 3, DETERMINISTIC = 1, FMA = 3;

// The list gives that of tensor cores, whatever the arithmetic that is set before a call.
size_t workspace(int algorithm, int math) { return 1000 * algorithm + (math == FMA ? 500 : 0); }

bool is_set(const char *name) { return getenv(name) != nullptr; }

bool fails(int algorithm) {
    const char *list = getenv("EMULATE_CUDNN_FAIL");
    return list && (std::string(",") + list + ",").find("," + std::to_string(algorithm) + ",") != std::string::npos;
}

struct Descriptor {
    Kind kind;
    int type = -1, format = -1, n = 0, c = 0, h = 0, w = 0; // of a filter, n counts the outputs
    int pad = 0, stride = 0, math = -1;
    int64_t at(int in, int ih, int iw, int ic) const { return (((int64_t)in * h + ih) * w + iw) * c + ic; }
    int64_t count() const { return (int64_t)n * h * w * c; }
};

struct Performance {
    int algorithm, status;
    float time;
    size_t memory;
    int determinism, math, reserved[3];
};

int create(Descriptor **out, Kind kind) { return *out = new Descriptor{kind}, SUCCESS; }

// Type 0 is f32, 9 is bf16; format 1 is NHWC.
int set(Descriptor *d, Kind kind, int format, int type, int n, int c, int h, int w) {
    if (d->kind != kind || format != 1 || (type != 0 && type != 9)) return BAD_PARAM;
    d->type = type, d->format = format, d->n = n, d->c = c, d->h = h, d->w = w;
    return SUCCESS;
}

bool fits(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y) {
    if (x->kind != TENSOR || w->kind != FILTER || conv->kind != CONVOLUTION || y->kind != TENSOR) return false;
    if (x->type != w->type || x->type != y->type || x->n != y->n || x->c != w->c || y->c != w->n || conv->math < 0) return false;
    return y->h == (x->h + 2 * conv->pad - w->h) / conv->stride + 1 && y->w == (x->w + 2 * conv->pad - w->w) / conv->stride + 1;
}

int list(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y, int requested, int *returned, Performance *p) {
    if (is_set("EMULATE_CUDNN_HEURISTICS")) return SUBLIBRARY_LOADING_FAILED;
    if (!fits(x, w, conv, y) || requested < 3) return BAD_PARAM;
    p[0] = {0, SUCCESS, 0.1f, 0, 0, conv->math, {}};
    p[1] = {FAST, SUCCESS, 0.2f, workspace(FAST, 1), DETERMINISTIC, conv->math, {}};
    // A second one only where it matters: each costs a convolution in loops.
    if (is_set("EMULATE_CUDNN_FAIL")) p[2] = {OTHER, SUCCESS, 0.3f, workspace(OTHER, 1), DETERMINISTIC, conv->math, {}};
    return *returned = is_set("EMULATE_CUDNN_FAIL") ? 3 : 2, SUCCESS;
}

double get(const Descriptor *d, const void *data, int64_t i) {
    return d->type == 0 ? ((const float *)data)[i] : __bfloat162float(((const __nv_bfloat16 *)data)[i]);
}

std::vector<double> all(const Descriptor *d, const void *data) {
    std::vector<double> values(d->count());
    for (size_t i = 0; i < values.size(); i++) values[i] = get(d, data, i);
    return values;
}

void put(const Descriptor *d, void *data, const std::vector<double> &values) {
    for (size_t i = 0; i < values.size(); i++) {
        if (d->type == 0) ((float *)data)[i] = (float)values[i];
        else ((__nv_bfloat16 *)data)[i] = __float2bfloat16((float)values[i]);
    }
}

// Calls visit(place in x, place in w, place in y) for every product of the convolution.
template <typename Visit> void walk(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y, Visit visit) {
    for (int n = 0; n < y->n; n++)
        for (int p = 0; p < y->h; p++)
            for (int q = 0; q < y->w; q++)
                for (int o = 0; o < y->c; o++)
                    for (int i = 0; i < w->h; i++)
                        for (int j = 0; j < w->w; j++) {
                            const int ih = p * conv->stride + i - conv->pad, iw = q * conv->stride + j - conv->pad;
                            if (ih < 0 || ih >= x->h || iw < 0 || iw >= x->w) continue;
                            const int64_t from = x->at(n, ih, iw, 0), tap = w->at(o, i, j, 0), to = y->at(n, p, q, o);
                            for (int c = 0; c < w->c; c++) visit(from + c, tap + c, to);
                        }
}

int size(const Descriptor *x, const Descriptor *w, const Descriptor *conv, const Descriptor *y, int algorithm, size_t *bytes) {
    if (!fits(x, w, conv, y)) return BAD_PARAM;
    return *bytes = workspace(algorithm, conv->math), SUCCESS;
}

// What a call says before it computes.
int begin(const Descriptor *conv, const float *alpha, const float *beta, int algorithm, void *space, size_t bytes, bool may_add = false) {
    if (*alpha != 1 || (*beta != 0 && !(may_add && *beta == 1)) || !space) return BAD_PARAM;
    if ((algorithm != FAST && algorithm != OTHER) || bytes != workspace(algorithm, conv->math)) return BAD_PARAM;
    if (fails(algorithm)) return EXECUTION_FAILED;
    if (*beta != 0 && is_set("EMULATE_CUDNN_NO_SUM")) return NOT_SUPPORTED;
    submit([=] { memset(space, 0, bytes); });
    return SUCCESS;
}

// A sum of products, kept in f64 or in f32.
struct Sums {
    std::vector<double> values;
    bool in_f32 = is_set("EMULATE_F32_SUMS");
    void add(int64_t at, double product) { values[at] = in_f32 ? (float)values[at] + (float)product : values[at] + product; }
};

} // namespace

extern "C" {

size_t cudnnGetVersion() { return is_set("EMULATE_CUDNN_VERSION") ? strtoull(getenv("EMULATE_CUDNN_VERSION"), nullptr, 10) : 91002; }
int cudnnCreate(void **handle) {
    if (is_set("EMULATE_CUDNN_CREATE")) return SUBLIBRARY_LOADING_FAILED;
    return *handle = (void *)112, SUCCESS;
}
int cudnnDestroy(void *) { return SUCCESS; }
int cudnnSetStream(void *, void *) { return SUCCESS; }
int cudnnCreateTensorDescriptor(Descriptor **d) { return create(d, TENSOR); }
int cudnnCreateFilterDescriptor(Descriptor **d) { return create(d, FILTER); }
int cudnnCreateConvolutionDescriptor(Descriptor **d) { return create(d, CONVOLUTION); }
int cudnnSetTensor4dDescriptor(Descriptor *d, int format, int type, int n, int c, int h, int w) {
    return set(d, TENSOR, format, type, n, c, h, w);
}
int cudnnSetFilter4dDescriptor(Descriptor *d, int type, int format, int k, int c, int h, int w) {
    return set(d, FILTER, format, type, k, c, h, w);
}
int cudnnSetConvolution2dDescriptor(Descriptor *d, int pad_h, int pad_w, int down, int right, int dilation_h, int dilation_w, int mode,
                                    int compute) {
    if (d->kind != CONVOLUTION || pad_h != pad_w || down != right || dilation_h != 1 || dilation_w != 1 || mode != 1 || compute != 0)
        return BAD_PARAM;
    return d->pad = pad_h, d->stride = down, SUCCESS;
}
int cudnnSetConvolutionMathType(Descriptor *d, int math) { return d->math = math, SUCCESS; }

int cudnnGetConvolutionForwardAlgorithm_v7(void *, Descriptor *x, Descriptor *w, Descriptor *conv, Descriptor *y, int requested,
                                           int *returned, Performance *p) {
    return list(x, w, conv, y, requested, returned, p);
}
int cudnnGetConvolutionBackwardDataAlgorithm_v7(void *, Descriptor *w, Descriptor *y, Descriptor *conv, Descriptor *x, int requested,
                                                int *returned, Performance *p) {
    return list(x, w, conv, y, requested, returned, p);
}
int cudnnGetConvolutionBackwardFilterAlgorithm_v7(void *, Descriptor *x, Descriptor *y, Descriptor *conv, Descriptor *w, int requested,
                                                  int *returned, Performance *p) {
    return list(x, w, conv, y, requested, returned, p);
}

int cudnnGetConvolutionForwardWorkspaceSize(void *, Descriptor *x, Descriptor *w, Descriptor *conv, Descriptor *y, int algorithm,
                                            size_t *bytes) {
    return size(x, w, conv, y, algorithm, bytes);
}
int cudnnGetConvolutionBackwardDataWorkspaceSize(void *, Descriptor *w, Descriptor *y, Descriptor *conv, Descriptor *x, int algorithm,
                                                 size_t *bytes) {
    return size(x, w, conv, y, algorithm, bytes);
}
int cudnnGetConvolutionBackwardFilterWorkspaceSize(void *, Descriptor *x, Descriptor *y, Descriptor *conv, Descriptor *w, int algorithm,
                                                   size_t *bytes) {
    return size(x, w, conv, y, algorithm, bytes);
}

int cudnnConvolutionForward(void *, const float *alpha, Descriptor *x, const void *xs, Descriptor *w, const void *ws, Descriptor *conv,
                            int algorithm, void *space, size_t bytes, const float *beta, Descriptor *y, void *ys) {
    if (!fits(x, w, conv, y)) return BAD_PARAM;
    if (int status = begin(conv, alpha, beta, algorithm, space, bytes)) return status;
    submit([=] {
        const std::vector<double> from = all(x, xs), filter = all(w, ws);
        Sums out = {std::vector<double>(y->count())};
        walk(x, w, conv, y, [&](int64_t a, int64_t b, int64_t c) { out.add(c, from[a] * filter[b]); });
        put(y, ys, out.values);
    });
    return SUCCESS;
}
int cudnnConvolutionBackwardData(void *, const float *alpha, Descriptor *w, const void *ws, Descriptor *y, const void *ys, Descriptor *conv,
                                 int algorithm, void *space, size_t bytes, const float *beta, Descriptor *x, void *xs) {
    if (!fits(x, w, conv, y)) return BAD_PARAM;
    if (int status = begin(conv, alpha, beta, algorithm, space, bytes, true)) return status;
    const bool add = *beta == 1;
    submit([=] {
        const std::vector<double> filter = all(w, ws), from = all(y, ys);
        Sums out = {add ? all(x, xs) : std::vector<double>(x->count())};
        walk(x, w, conv, y, [&](int64_t a, int64_t b, int64_t c) { out.add(a, filter[b] * from[c]); });
        put(x, xs, out.values);
    });
    return SUCCESS;
}
int cudnnConvolutionBackwardFilter(void *, const float *alpha, Descriptor *x, const void *xs, Descriptor *y, const void *ys,
                                   Descriptor *conv, int algorithm, void *space, size_t bytes, const float *beta, Descriptor *w, void *ws) {
    if (!fits(x, w, conv, y)) return BAD_PARAM;
    if (int status = begin(conv, alpha, beta, algorithm, space, bytes)) return status;
    submit([=] {
        const std::vector<double> inputs = all(x, xs), from = all(y, ys);
        Sums out = {std::vector<double>(w->count())};
        walk(x, w, conv, y, [&](int64_t a, int64_t b, int64_t c) { out.add(b, inputs[a] * from[c]); });
        put(w, ws, out.values);
    });
    return SUCCESS;
}

} // extern "C"
