/* All of the steps for a REAL of one width, which has to be defined with what real.h and optimizer_steps.h say of it, and
   is not any more afterwards. Included by optimizers.h and optimizer_quads.h. */
#include "real.h"
#include "residuals.h"
#include "optimizer_steps.h"
#undef REAL
#undef MASK
#undef NAME
#undef WIDTH
#undef CHAINS
#undef PATTERNS
