// Depthwise convolution in float64 on the CPU, which torch computes channel by channel, and oneDNN not at all. Maps are
// (batch, height, width, channels); the kernel is (side * side, channels), centred, with zeros around the map.
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

typedef double Vector __attribute__((vector_size(64)));  // the compiler splits it where the processor's are shorter
constexpr int64_t WIDTH = sizeof(Vector) / sizeof(double);

inline Vector load(const double* from, int64_t count) {
  Vector v{};
  std::memcpy(&v, from, count == WIDTH ? sizeof(v) : sizeof(double) * count);
  return v;
}

// One row of the result, of up to WIDTH channels.
template <int SIDE>
void convolve_row(const double* x, const double* kernel, const double* bias, double* y, int64_t row, int64_t height,
                  int64_t width, int64_t channels, int64_t first, int64_t count) {
  constexpr int HALF = SIDE / 2;
  Vector taps[SIDE * SIDE];
  for (int t = 0; t < SIDE * SIDE; ++t) taps[t] = load(kernel + t * channels + first, count);
  const Vector start = bias ? load(bias + first, count) : Vector{};
  const int top = static_cast<int>(std::max<int64_t>(0, HALF - row));
  const int bottom = static_cast<int>(std::min<int64_t>(SIDE, height + HALF - row));
  for (int64_t column = 0; column < width; ++column) {
    const int left = static_cast<int>(std::max<int64_t>(0, HALF - column));
    const int right = static_cast<int>(std::min<int64_t>(SIDE, width + HALF - column));
    Vector sum = start;
    for (int i = top; i < bottom; ++i) {
      const double* from = x + ((row + i - HALF) * width + column - HALF) * channels + first;
      if (left == 0 && right == SIDE && count == WIDTH) {
        for (int j = 0; j < SIDE; ++j) sum += taps[i * SIDE + j] * load(from + j * channels, WIDTH);
      } else {
        for (int j = left; j < right; ++j) sum += taps[i * SIDE + j] * load(from + j * channels, count);
      }
    }
    std::memcpy(y + (row * width + column) * channels + first, &sum, sizeof(double) * count);
  }
}

template <int SIDE>
void convolve(const double* x, const double* kernel, const double* bias, double* y, int64_t batch, int64_t height,
              int64_t width, int64_t channels, int64_t threads) {
  const int64_t rows = batch * height, packs = (channels + WIDTH - 1) / WIDTH;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t i = 0; i < rows * packs; ++i) {
    const int64_t pack = i / rows, image = i % rows / height, row = i % height, first = pack * WIDTH;
    const int64_t offset = image * height * width * channels;
    convolve_row<SIDE>(x + offset, kernel, bias, y + offset, row, height, width, channels, first,
                       std::min(WIDTH, channels - first));
  }
}

}  // namespace

// Returns 0, or -1 for a side other than 3 and 5. `bias` may be null.
extern "C" int64_t depthwise(const double* x, const double* kernel, const double* bias, double* y, int64_t batch,
                             int64_t height, int64_t width, int64_t channels, int64_t side, int64_t threads) {
  if (side == 3) convolve<3>(x, kernel, bias, y, batch, height, width, channels, threads);
  else if (side == 5) convolve<5>(x, kernel, bias, y, batch, height, width, channels, threads);
  else return -1;
  return 0;
}
