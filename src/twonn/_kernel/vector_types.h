/* What the kernel asks of gcc and clang beyond the standard: vector types (pair.h, nodes.h, smooth.h,
   optimizers.h) and three hints.
   Other compilers get the same operations one number at a time, which give the same bits. The one type that computes
   on two numbers is then a class (scalar_pair.h), so the kernel is compiled as C++. */
#ifndef TWONN_VECTOR_TYPES_H
#define TWONN_VECTOR_TYPES_H

#if !defined(__GNUC__) && !defined(__clang__) && !defined(TWONN_NO_VECTOR_TYPES)
#define TWONN_NO_VECTOR_TYPES
#endif

#ifdef TWONN_NO_VECTOR_TYPES
#ifndef __cplusplus
#error "Without vector types the kernel is compiled as C++: set CFLAGS=-DTWONN_NO_VECTOR_TYPES"
#endif
#define ALWAYS_INLINE inline
#define UNROLL(times)
#define UNLIKELY(condition) (condition)
#else
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)
#define UNROLL(times) PRAGMA(GCC unroll times)
#define UNLIKELY(condition) __builtin_expect(condition, 0)
#endif

#endif
