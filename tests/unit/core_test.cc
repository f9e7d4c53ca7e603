// Shapes, types, attributes and bounded lists.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "core/op.h"

namespace daybreak {
namespace {

TEST(FixedVec, HoldsUpToItsBound) {
  FixedVec<int, 3> v{1, 2};
  v.push_back(3);
  EXPECT_EQ(v.size(), 3u);
  EXPECT_EQ(v.back(), 3);
  EXPECT_THROW(v.push_back(4), Error);
  EXPECT_EQ(v, (FixedVec<int, 3>{1, 2, 3}));
}

TEST(FixedVec, OverlongListsAreErrors) {
  EXPECT_THROW((FixedVec<int, 2>{1, 2, 3}), Error);
  const int values[] = {1, 2, 3};
  EXPECT_THROW((FixedVec<int, 2>(values, values + 3)), Error);
  FixedVec<int, 2> v;
  EXPECT_THROW(v.resize(3), Error);
}

TEST(FixedVec, InsertsAndErases) {
  FixedVec<int, 5> v{1, 4};
  v.insert(1, 2);
  v.insert(2, 3);
  v.insert(4, 5);
  EXPECT_EQ(v, (FixedVec<int, 5>{1, 2, 3, 4, 5}));
  EXPECT_THROW(v.insert(0, 0), Error);
  v.erase(0);
  v.erase(3);
  EXPECT_EQ(v, (FixedVec<int, 5>{2, 3, 4}));
  v.resize(1);
  EXPECT_EQ(v, (FixedVec<int, 5>{2}));
  EXPECT_NE(v, (FixedVec<int, 5>{2, 2}));
  EXPECT_NE(v, (FixedVec<int, 5>{3}));
}

TEST(DType, NamesAreUniqueAndInvertible) {
  std::set<std::string_view> names;
  for (int t = 1; t <= static_cast<int>(DType::kU4); ++t) {
    const auto type = static_cast<DType>(t);
    EXPECT_TRUE(names.insert(NameOf(type)).second) << NameOf(type);
    EXPECT_EQ(DTypeOf(NameOf(type)), type);
    EXPECT_EQ(BitsOf(RawOf(type)), BitsOf(type)) << NameOf(type);
    EXPECT_EQ(RawOf(RawOf(type)), RawOf(type)) << NameOf(type);
  }
  EXPECT_EQ(DTypeOf("float"), DType::kUndefined);
  EXPECT_EQ(DTypeOf(""), DType::kUndefined);
}

TEST(DType, BytesRoundUp) {
  EXPECT_EQ(BytesOf(DType::kF16, 3), 6u);
  EXPECT_EQ(BytesOf(DType::kI4, 3), 2u);
  EXPECT_EQ(BytesOf(DType::kU4, 0), 0u);
  EXPECT_EQ(BytesOf(DType::kI64, 5), 40u);
  EXPECT_EQ(BytesOf(DType::kBool, 5), 5u);
}

TEST(Shape, CountsScalarsAndEmptyTensors) {
  EXPECT_EQ(Count({}), 1);
  EXPECT_EQ(Count({2, 0, 3}), 0);
  EXPECT_EQ(Count({2, 3, 4}, 1, 3), 12);
  EXPECT_EQ(Count({2, 3, 4}, 1, 1), 1);
  EXPECT_EQ(ToString({}), "[]");
  EXPECT_EQ(ToString({2, 3}), "[2,3]");
}

TEST(Shape, RankIsBounded) { EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), Error); }

TEST(Shape, WrapsAxes) {
  EXPECT_EQ(WrapAxis(-1, 3), 2u);
  EXPECT_EQ(WrapAxis(-3, 3), 0u);
  EXPECT_EQ(WrapAxis(2, 3), 2u);
  EXPECT_THROW(WrapAxis(3, 3), Error);
  EXPECT_THROW(WrapAxis(-4, 3), Error);
  EXPECT_THROW(WrapAxis(0, 0), Error);
}

TEST(Shape, SplitsAtEveryAxis) {
  const Shape shape{2, 3, 4, 5};
  for (int64_t axis = -4; axis < 4; ++axis) {
    const AxisSplit s = SplitAt(shape, axis);
    EXPECT_EQ(s.outer * s.dim * s.stride, Count(shape));
    EXPECT_EQ(s.dim, shape[WrapAxis(axis, 4)]);
    EXPECT_EQ(s.stride, StridesOf(shape)[WrapAxis(axis, 4)]);
  }
}

TEST(Shape, BroadcastsAsNumPyDoes) {
  EXPECT_EQ(Broadcast({2, 1, 4}, {3, 1}), (Shape{2, 3, 4}));
  EXPECT_EQ(Broadcast({}, {3}), (Shape{3}));
  EXPECT_EQ(Broadcast({}, {}), Shape{});
  EXPECT_EQ(Broadcast({0}, {1}), (Shape{0}));
  EXPECT_EQ(Broadcast({1, 2}, {0, 1}), (Shape{0, 2}));
  EXPECT_THROW(Broadcast({2}, {3}), Error);
  EXPECT_THROW(Broadcast({2}, {0}), Error);
}

TEST(Shape, BroadcastStridesAreZeroWhereBroadcast) {
  EXPECT_EQ(BroadcastStrides({3, 1}, {2, 3, 4}), (Shape{0, 1, 0}));
  EXPECT_EQ(BroadcastStrides({}, {2, 2}), (Shape{0, 0}));
  EXPECT_EQ(BroadcastStrides({2, 3}, {2, 3}), (Shape{3, 1}));
  EXPECT_THROW(BroadcastStrides({2}, {3}), Error);
  EXPECT_THROW(BroadcastStrides({1, 1}, {1}), Error);
}

TEST(Shape, NarrowsToU32) {
  EXPECT_EQ(U32(0xFFFFFFFF), 0xFFFFFFFFu);
  EXPECT_THROW(U32(-1), Error);
  EXPECT_THROW(U32(INT64_C(1) << 32), Error);
}

TEST(Attrs, GiveFallbacksAndRefuseOtherTypes) {
  Attrs attrs;
  attrs.Set("axis", int64_t{-1});
  attrs.Set("scale", 0.5f);
  attrs.Set("mode", std::string("linear"));
  attrs.Set("perm", std::vector<int64_t>{1, 0});
  attrs.Set("none", std::vector<int64_t>{});
  EXPECT_EQ(attrs.Int("axis", 7), -1);
  EXPECT_EQ(attrs.Int("other", 7), 7);
  EXPECT_EQ(attrs.Float("scale", 1.0f), 0.5f);
  EXPECT_EQ(attrs.String("mode", ""), "linear");
  EXPECT_EQ(attrs.Ints("perm"), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(attrs.Floats("none").empty());
  EXPECT_TRUE(attrs.Strings("absent").empty());
  EXPECT_EQ(attrs.TensorAttr("absent"), nullptr);
  EXPECT_TRUE(attrs.Has("axis"));
  EXPECT_FALSE(attrs.Has("other"));
  EXPECT_THROW(attrs.Int("scale", 0), Error);
  EXPECT_THROW(attrs.Float("axis", 0), Error);
  EXPECT_THROW(attrs.Floats("perm"), Error);
  EXPECT_THROW(attrs.TensorAttr("mode"), Error);
}

TEST(Tensor, HostAccessNeedsHostMemoryOfTheRightSize) {
  const int64_t values[] = {2, -1};
  Tensor t{.type = DType::kI64, .shape = {2}, .host = values};
  EXPECT_EQ(t.Host<int64_t>()[1], -1);
  EXPECT_THROW(t.Host<int32_t>(), Error);
  EXPECT_EQ(HostInts(t).size(), 2u);
  EXPECT_EQ(HostInts(t)[1], -1);
  t.host = nullptr;
  EXPECT_THROW(t.Host<int64_t>(), Error);
  t.shape = {0};
  EXPECT_EQ(HostInts(t).size(), 0u);
  Tensor floats{.type = DType::kF32, .shape = {1}, .host = values};
  EXPECT_THROW(HostInts(floats), Error);
}

TEST(Dispatch, PerThreadCountsElementsOfAStorageWord) {
  const auto per = [](DType type, View view = View::kTyped, uint32_t width = 1) {
    const Tensor t{.type = type, .shape = {8}};
    return PerThread({.name = "x", .tensor = &t, .width = width, .view = view});
  };
  EXPECT_EQ(per(DType::kF32), 1u);
  EXPECT_EQ(per(DType::kF16), 1u);
  EXPECT_EQ(per(DType::kF16, View::kRaw), 2u);
  EXPECT_EQ(per(DType::kBF16), 2u);
  EXPECT_EQ(per(DType::kI64), 1u);
  EXPECT_EQ(per(DType::kBool), 4u);
  EXPECT_EQ(per(DType::kU4), 8u);
  EXPECT_EQ(per(DType::kF16, View::kTyped, 4), 4u);
  EXPECT_EQ(per(DType::kU8, View::kWords, 4), 4u);
}

// Every row can be looked up, says what it takes, and names inputs that it may have.
TEST(Rows, AreWellFormed) {
  std::set<std::string> seen;
  for (const OpDef& row : Ops()) {
    const std::string name = Join(row.domain, ".", row.name, " ", row.since, "-", row.until);
    EXPECT_NE(row.plan, nullptr) << name;
    EXPECT_GE(row.since, 1) << name;
    EXPECT_LE(row.since, row.until) << name;
    EXPECT_TRUE(seen.insert(Join(name, row.types)).second) << name << " is there twice";
    for (const char* list : {row.host, row.host_eager, row.host_out})
      EXPECT_EQ(std::string(list).find_first_not_of("0123456789 "), std::string::npos)
          << name << ": " << list;
  }
}

TEST(Packing, IsAPermutationWithinGroupsOfColumns) {
  for (const uint32_t columns : {1u, 31u, 32u, 33u, 70u}) {
    const PackedOrder order{columns, 3, 16};
    std::set<uint64_t> places;
    for (uint32_t n = 0; n < columns; ++n) {
      const uint32_t first = n / kPackedGroup * kPackedGroup;
      const uint32_t end = std::min(first + kPackedGroup, columns);
      for (uint32_t row = 0; row < order.rows; ++row) {
        const uint64_t at = order.at(n, row);
        EXPECT_TRUE(first * order.rows <= at && at < end * order.rows) << n << " " << row;
        EXPECT_EQ(at - order.at(first, row), n - first);
        places.insert(at);
      }
    }
    EXPECT_EQ(places.size(), columns * order.rows);
  }
}

}  // namespace
}  // namespace daybreak
