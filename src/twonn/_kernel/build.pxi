"""What the extension was compiled with, and what tests ask of it alone."""

cdef extern from "_kernel/build.h" nogil:
    const char* TWONN_COMPILER
    const char* TWONN_FLAGS
    const char* TWONN_ISA
    int TWONN_CONTRACTED, TWONN_NOT_NEAREST, TWONN_FLUSHED, TWONN_EXCESS_PRECISION
    int twonn_arithmetic_faults() noexcept
    bint twonn_can_run(bint avx512) noexcept

COMPILER = TWONN_COMPILER.decode()
FLAGS = TWONN_FLAGS.decode()
ISA = TWONN_ISA.decode()


def usable_instruction_sets():
    """Return the instruction sets that kernels are built for and this processor has, in ascending order."""
    wider = {"sse2": ("avx2", "avx512"), "avx2": ("avx512",)}.get(ISA, ())
    return [ISA] + [name for name in wider if twonn_can_run(name == "avx512")]


def arithmetic_faults():
    """Return what is wrong with the floating-point arithmetic of this thread, a list of phrases."""
    cdef int faults = twonn_arithmetic_faults()
    phrases = {
        TWONN_CONTRACTED: "a*b + c is contracted",
        TWONN_NOT_NEAREST: "rounding is not to nearest",
        TWONN_FLUSHED: "subnormal numbers are flushed to zero",
        TWONN_EXCESS_PRECISION: "intermediate results are wider than binary64",
    }
    return [phrase for bit, phrase in phrases.items() if faults & bit]


ctypedef double (*Elementary)(double) noexcept nogil


def exp(const double[::1] x):
    """Return the kernel's own exponential of each number, shape (n,)."""
    return each(exp_, x)


def log(const double[::1] x):
    """Return the kernel's own natural logarithm of each number, shape (n,)."""
    return each(log_, x)


def log1p(const double[::1] x):
    """Return the kernel's own ln(1 + x) of each number > -1, shape (n,)."""
    return each(log1p_, x)


def expm1(const double[::1] x):
    """Return the kernel's own e^x − 1 of each number >= 0, shape (n,)."""
    return each(expm1_, x)


cdef each(Elementary function, const double[::1] x):
    cdef Py_ssize_t n
    result = np.empty(x.shape[0])
    cdef double[::1] out = result
    for n in range(x.shape[0]):
        out[n] = function(x[n])
    return result
