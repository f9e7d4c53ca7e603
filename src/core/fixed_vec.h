// A vector of bounded size without heap memory; going over the bound is an Error, not undefined behaviour.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>

#include "core/error.h"

namespace daybreak {

template <class T, size_t N>
class FixedVec {
 public:
  FixedVec() = default;
  FixedVec(std::initializer_list<T> list) {
    for (const T& v : list) push_back(v);
  }
  template <class It>
  FixedVec(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }

  void push_back(const T& v) {
    Check(size_ < N, "More than ", N, " entries in a bounded list.");
    data_[size_++] = v;
  }
  void insert(size_t at, const T& v) {
    push_back(v);
    for (size_t i = size_ - 1; i > at; --i) data_[i] = data_[i - 1];
    data_[at] = v;
  }
  void erase(size_t at) {
    for (size_t i = at; i + 1 < size_; ++i) data_[i] = data_[i + 1];
    --size_;
  }
  void resize(size_t n, const T& v = T{}) {
    while (size_ > n) --size_;
    while (size_ < n) push_back(v);
  }
  void clear() { size_ = 0; }
  void pop_back() { --size_; }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  static constexpr size_t capacity() { return N; }
  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }
  T* begin() { return data_.data(); }
  T* end() { return data_.data() + size_; }
  const T* begin() const { return data_.data(); }
  const T* end() const { return data_.data() + size_; }

  friend bool operator==(const FixedVec& a, const FixedVec& b) {
    if (a.size_ != b.size_) return false;
    for (size_t i = 0; i < a.size_; ++i)
      if (!(a.data_[i] == b.data_[i])) return false;
    return true;
  }

 private:
  std::array<T, N> data_{};
  size_t size_ = 0;
};

}  // namespace daybreak
