/* The kernel, compiled for what every processor of this kind has. */
#define PyInit__core PyInit__core_baseline
#include "../_core.c"
