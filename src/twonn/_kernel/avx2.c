/* The kernel, compiled for AVX2. */
#define PyInit__core PyInit__core_avx2
#include "../_core.c"
