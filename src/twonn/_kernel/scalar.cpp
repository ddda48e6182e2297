/* The kernel, compiled as C++ for what has no vector types (vector_types.h). */
#include "baseline.c"
