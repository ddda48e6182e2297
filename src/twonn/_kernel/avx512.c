/* The kernel, compiled for AVX-512. */
#define PyInit__core PyInit__core_avx512
#include "../_core.c"
