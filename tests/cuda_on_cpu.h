// Enough of CUDA's language to compile a .cu file as C++ and run its threads one after the other, last block first.
#pragma once
#include <cmath>
#include <cstdint>

#define __CUDACC__
#define __global__
#define __device__
#define __forceinline__ inline

struct Index {
  unsigned x;
};
inline Index blockIdx, threadIdx, blockDim;
using cudaStream_t = void*;
inline int cudaGetLastError() { return 0; }

template <class Kernel>
void launch(unsigned blocks, unsigned threads, Kernel kernel) {
  blockDim.x = threads;
  for (blockIdx.x = blocks; blockIdx.x-- > 0;) {
    for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel();
  }
}
