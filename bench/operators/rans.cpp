// Range asymmetric numeral system coder (rANS), with the streams of CompressAI's: 64-bit state of at least 2^31,
// 32-bit words, 16-bit probabilities, escapes as flat 4-bit fields. No Python, no torch: called through ctypes.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr uint64_t kLow = uint64_t{1} << 31;
constexpr int kProbabilityBits = 16, kFieldBits = 4;
constexpr uint32_t kFieldMax = (1 << kFieldBits) - 1;
constexpr int64_t kSymbolMax = int64_t{1} << 24;  // as whole numbers float32 holds no larger ones exactly
constexpr uint32_t kDigitsMax = 7;                // of an escape: 2^25 and a table's reach fit in 28 bits
constexpr int kBucketBits = 8, kBuckets = 1 << kBucketBits, kBucketShift = kProbabilityBits - kBucketBits;

struct Encoder {
  uint64_t state = kLow;
  std::vector<uint32_t> words;  // last word of the stream first

  void make_room(uint32_t frequency) {
    if (state >= ((kLow >> kProbabilityBits) << 32) * frequency) {
      words.push_back(static_cast<uint32_t>(state));
      state >>= 32;
    }
  }
  void put(uint32_t start, uint32_t frequency) {
    make_room(frequency);
    state = ((state / frequency) << kProbabilityBits) + state % frequency + start;
  }
  void put_field(uint32_t value) {
    make_room(1u << (kProbabilityBits - kFieldBits));
    state = (state << kFieldBits) | value;
  }
  // The decoder reads the count of digits, then the digits; the encoder writes backwards.
  void put_escaped(uint32_t raw) {
    int digits = 0;
    while (digits < 8 && (raw >> (digits * kFieldBits)) != 0) ++digits;
    for (int j = digits; j-- > 0;) put_field((raw >> (j * kFieldBits)) & kFieldMax);
    put_field(digits);
  }
};

struct Decoder {
  uint64_t state;
  const uint32_t* next;
  const uint32_t* end;
  bool overrun = false;

  void refill() {
    if (state >= kLow) return;
    if (next == end) { overrun = true; state = kLow; return; }
    state = (state << 32) | *next++;
  }
  uint32_t get_field() {
    uint32_t value = static_cast<uint32_t>(state) & kFieldMax;
    state >>= kFieldBits;
    refill();
    return value;
  }
  // Returns -1 for what no encoder writes: more digits than a symbol can have, or a leading zero.
  int64_t get_escaped() {
    const uint32_t digits = get_field();
    if (digits > kDigitsMax) return -1;
    uint32_t raw = 0, digit = 1;
    for (uint32_t j = 0; j < digits; ++j) raw |= (digit = get_field()) << (j * kFieldBits);
    return digit == 0 ? -1 : static_cast<int64_t>(raw);
  }
};

}  // namespace

extern "C" {

// Codes n symbols with the table rows `rows` into `words`, which has room for `room`. Returns the number of words,
// -1 when a row is out of range, -2 when a table gives a symbol no probability, -3 when the room is too small, -4 when
// a symbol is beyond 2^24.
int64_t rans_encode(const int32_t* symbols, const int32_t* rows, int64_t n, const int32_t* cdf,
                    const int32_t* lengths, const int32_t* offsets, int64_t row_count, int64_t stride,
                    uint32_t* words, int64_t room) {
  Encoder encoder;
  encoder.words.reserve(n / 4 + 16);
  for (int64_t i = n; i-- > 0;) {
    const int64_t row = rows[i];
    if (row < 0 || row >= row_count) return -1;
    const int32_t* entries = cdf + row * stride;
    const int32_t escape = lengths[row] - 2;
    if (symbols[i] < -kSymbolMax || symbols[i] > kSymbolMax) return -4;
    int64_t value = static_cast<int64_t>(symbols[i]) - offsets[row];
    if (value < 0 || value >= escape) {
      encoder.put_escaped(static_cast<uint32_t>(value < 0 ? -2 * value - 1 : 2 * (value - escape)));
      value = escape;
    }
    const uint32_t start = entries[value], frequency = entries[value + 1] - start;
    if (frequency == 0 || frequency > (1u << kProbabilityBits)) return -2;
    encoder.put(start, frequency);
  }
  encoder.words.push_back(static_cast<uint32_t>(encoder.state >> 32));
  encoder.words.push_back(static_cast<uint32_t>(encoder.state));
  const int64_t count = encoder.words.size();
  if (count > room) return -3;
  std::reverse_copy(encoder.words.begin(), encoder.words.end(), words);
  return count;
}

// Fills `firsts` (rows, 256): for each 256th of the probability range the interval that its first value lies in. The
// decoder looks there and steps on from it, mostly not at all, where a binary search takes up to ten steps.
// Returns 0, or -1 when a row has more intervals than 16 bits can number.
int64_t rans_index(const int32_t* cdf, const int32_t* lengths, int64_t row_count, int64_t stride, uint16_t* firsts) {
  for (int64_t row = 0; row < row_count; ++row) {
    const int32_t* entries = cdf + row * stride;
    const int32_t escape = lengths[row] - 2;
    if (escape > UINT16_MAX) return -1;
    int32_t value = 0;
    for (int32_t bucket = 0; bucket < kBuckets; ++bucket) {
      while (value < escape && entries[value + 1] <= bucket << kBucketShift) ++value;
      firsts[row * kBuckets + bucket] = static_cast<uint16_t>(value);
    }
  }
  return 0;
}

// Decodes n symbols. `position` and `state` go from one call to the next; start with 0 and 0. `firsts` is of
// rans_index. Returns 0, -1 when a row is out of range, -2 when the stream ends too early, -3 when it holds a symbol
// that no encoder writes.
int64_t rans_decode(const uint32_t* words, int64_t word_count, int64_t* position, uint64_t* state,
                    const int32_t* rows, int64_t n, const int32_t* cdf, const int32_t* lengths,
                    const int32_t* offsets, int64_t row_count, int64_t stride, const uint16_t* firsts,
                    int32_t* symbols) {
  if (*position == 0) {
    if (word_count < 2) return -2;
    *state = words[0] | (static_cast<uint64_t>(words[1]) << 32);
    *position = 2;
  }
  Decoder decoder{*state, words + *position, words + word_count};
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = rows[i];
    if (row < 0 || row >= row_count) return -1;
    const int32_t* entries = cdf + row * stride;
    const int32_t escape = lengths[row] - 2;
    const int32_t target = static_cast<int32_t>(decoder.state & ((1u << kProbabilityBits) - 1));
    int64_t value = firsts[row * kBuckets + (target >> kBucketShift)];
    while (value < escape && entries[value + 1] <= target) ++value;
    const uint32_t start = entries[value], frequency = entries[value + 1] - start;
    decoder.state = frequency * (decoder.state >> kProbabilityBits) + target - start;
    decoder.refill();
    if (value == escape) {
      const int64_t raw = decoder.get_escaped();
      if (decoder.overrun) return -2;
      if (raw < 0) return -3;
      value = raw & 1 ? -(raw >> 1) - 1 : (raw >> 1) + escape;
    }
    if (decoder.overrun) return -2;
    value += offsets[row];
    if (value < -kSymbolMax || value > kSymbolMax) return -3;
    symbols[i] = static_cast<int32_t>(value);
  }
  *state = decoder.state;
  *position = decoder.next - words;
  return 0;
}

}  // extern "C"
