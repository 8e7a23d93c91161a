// Bi-WKV on the GPU: a thread for each run of each channel of each batch entry, channels side by side in memory, so
// that neighbouring threads read neighbouring values. One thread per channel adds up the runs between the passes.
// No atomics and no exchange inside warps: the same result every time, for any shape.
#include <cuda_runtime.h>

#include <cstdint>

namespace biwkv {
__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double larger(double a, double b) { return fmax(a, b); }
__device__ __forceinline__ float smaller(float a, float b) { return fminf(a, b); }
__device__ __forceinline__ double smaller(double a, double b) { return fmin(a, b); }
template <class T>
__device__ __forceinline__ T choose(bool condition, T a, T b) {
  return condition ? a : b;
}
}  // namespace biwkv

#include "biwkv_gradient.h"

namespace biwkv {

constexpr int THREADS = 128;

// One channel of a (tokens, channels) matrix.
template <class T>
struct Column {
  T* first;
  int64_t stride;
  __device__ T operator()(int64_t i) const { return first[i * stride]; }
  __device__ void put(int64_t i, T value) const { first[i * stride] = value; }
};

// Where this thread's run lies.
struct Place {
  int64_t index, entry, run, channel, length, channels, first;
  bool inside;
  __device__ Place(const Shape& s) {
    index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    inside = index < s.batch * s.count * s.channels;
    channels = s.channels;
    channel = index % s.channels;
    run = index / s.channels % s.count;
    entry = index / s.channels / s.count;
    length = s.run_length(run);
    first = (entry * s.tokens + run * s.length) * s.channels + channel;
  }
  template <class T>
  __device__ Column<T> of(T* x) const {
    return {x + first, channels};
  }
};

template <class T, class R>
__global__ void sums_kernel(const T* w, const T* k, const T* v, R* runs, Shape s) {
  const Place at(s);
  if (at.inside) {
    runs[at.index] = R();
    run_sums(runs[at.index], w[at.channel], at.of(k), at.of(v), at.length);
  }
}

template <class T, class R>
__global__ void scan_kernel(const T* w, R* runs, Shape s) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < s.batch * s.channels) {
    const int64_t entry = i / s.channels, channel = i % s.channels;
    scan(runs + entry * s.count * s.channels + channel, s.count, s.channels, w[channel], s.length);
  }
}

template <class T>
__global__ void outputs_kernel(const T* w, const T* u, const T* k, const T* v, T* y, const Run<T, false>* runs,
                               Shape s) {
  const Place at(s);
  if (at.inside) {
    outputs(runs[at.index], w[at.channel], u[at.channel], at.of(k), at.of(v), at.of(y), at.length);
  }
}

template <class T>
__global__ void gradients_kernel(const T* w, const T* u, const T* k, const T* v, const T* gy, T* gw, T* gu, T* gk,
                                 T* gv, T* tops, GradRun<T>* runs, Shape s) {
  const Place at(s);
  if (!at.inside) return;
  const Column<T> tops_left = at.of(tops), tops_right = at.of(tops + s.batch * s.tokens * s.channels);
  T sum_w = 0, sum_u = 0;
  output_gradients(runs[at.index], w[at.channel], u[at.channel], at.of(k), at.of(v), at.of(gy), at.of(gk), at.of(gv),
                   tops_left, tops_right, at.length, sum_w, sum_u);
  token_gradients(runs[at.index], w[at.channel], u[at.channel], at.of(k), at.of(v), at.of(gk), at.of(gv), tops_left,
                  tops_right, at.length);
  gw[at.index] = sum_w;
  gu[at.index] = sum_u;
}

template <class T>
__global__ void scan_gradients_kernel(const T* w, GradRun<T>* runs, Shape s) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < s.batch * s.channels) {
    const int64_t entry = i / s.channels, channel = i % s.channels;
    scan_gradients(runs + entry * s.count * s.channels + channel, s.count, s.channels, w[channel], s.length);
  }
}

template <class T>
__global__ void sum_gradients_kernel(const T* w, const T* k, const T* v, T* gk, T* gv, const GradRun<T>* runs,
                                     Shape s) {
  const Place at(s);
  if (at.inside) {
    add_sum_gradients(runs[at.index], w[at.channel], at.of(k), at.of(v), at.of(gk), at.of(gv), s.length, at.length);
  }
}

inline unsigned blocks(int64_t threads) { return static_cast<unsigned>((threads + THREADS - 1) / THREADS); }

template <class T>
int forward(const T* w, const T* u, const T* k, const T* v, T* y, void* memory, const Shape& s, cudaStream_t stream) {
  const unsigned all = blocks(s.batch * s.count * s.channels), single = blocks(s.batch * s.channels);
  auto* runs = static_cast<Run<T, false>*>(memory);
  sums_kernel<<<all, THREADS, 0, stream>>>(w, k, v, runs, s);
  scan_kernel<<<single, THREADS, 0, stream>>>(w, runs, s);
  outputs_kernel<<<all, THREADS, 0, stream>>>(w, u, k, v, y, runs, s);
  return cudaGetLastError();
}

// gw and gu are (batch, runs, channels), tops is (2, batch, tokens, channels).
template <class T>
int backward(const T* w, const T* u, const T* k, const T* v, const T* gy, T* gw, T* gu, T* gk, T* gv, T* tops,
             void* memory, const Shape& s, cudaStream_t stream) {
  const unsigned all = blocks(s.batch * s.count * s.channels), single = blocks(s.batch * s.channels);
  auto* runs = static_cast<GradRun<T>*>(memory);
  sums_kernel<<<all, THREADS, 0, stream>>>(w, k, v, runs, s);
  scan_kernel<<<single, THREADS, 0, stream>>>(w, runs, s);
  gradients_kernel<<<all, THREADS, 0, stream>>>(w, u, k, v, gy, gw, gu, gk, gv, tops, runs, s);
  scan_gradients_kernel<<<single, THREADS, 0, stream>>>(w, runs, s);
  sum_gradients_kernel<<<all, THREADS, 0, stream>>>(w, k, v, gk, gv, runs, s);
  return cudaGetLastError();
}

}  // namespace biwkv

// The C interface that kernels.py calls; all arrays are contiguous. `memory` holds batch * runs * channels times the
// bytes that biwkv_run_bytes returns. The result is a CUDA error code.
#define BIWKV_EXPORT(NAME, T)                                                                                        \
  extern "C" int biwkv_forward_##NAME(T* w, T* u, T* k, T* v, T* y, void* memory, int64_t batch, int64_t tokens,     \
                                      int64_t channels, int64_t runs, void* stream) {                                \
    return biwkv::forward<T>(w, u, k, v, y, memory, biwkv::Shape(batch, tokens, channels, runs),                     \
                             static_cast<cudaStream_t>(stream));                                                     \
  }                                                                                                                  \
  extern "C" int biwkv_backward_##NAME(T* w, T* u, T* k, T* v, T* gy, T* gw, T* gu, T* gk, T* gv, T* tops,           \
                                       void* memory, int64_t batch, int64_t tokens, int64_t channels, int64_t runs,  \
                                       void* stream) {                                                               \
    return biwkv::backward<T>(w, u, k, v, gy, gw, gu, gk, gv, tops, memory,                                          \
                              biwkv::Shape(batch, tokens, channels, runs), static_cast<cudaStream_t>(stream));       \
  }                                                                                                                  \
  extern "C" int64_t biwkv_run_bytes_##NAME(int backward) {                                                          \
    return backward ? sizeof(biwkv::GradRun<T>) : sizeof(biwkv::Run<T, false>);                                      \
  }
BIWKV_EXPORT(float32, float)
BIWKV_EXPORT(float64, double)
