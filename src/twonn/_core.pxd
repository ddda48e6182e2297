# The records the kernel works on, in reduced coordinates (see _core.pyx).

cdef enum:
    BLOCK_STEPS = 256          # steps between two canonical states where each step has to look at the pattern
    LONGEST_SPAN = 4096        # and at most

cpdef enum:
    STATE_SIZE = 12            # doubles in one recorded State

cdef struct Model:             # constants of a run
    double gram[2][2]          # lifted Gram matrix G_ik
    double gram_low[2][2]      # what rounding left out of it: points that almost coincide need it
    double start[2][2]         # z_ji at step 0
    double start_low[2][2]
    double label[2]            # y_i
    double point_step          # h
    double log_point_step      # ln h
    int loss                   # EXPONENTIAL or LOGISTIC
    bint trained               # output weights are trained
    bint opposed               # lifted points on one line through 0, on either side of it

cdef struct State:             # everything that moves; recorded as it lies in memory
    double c[2][2]             # C_jk
    double c_low[2][2]         # what rounding left out of C_jk
    double v[2]
    double v_low[2]

cdef extern from "_kernel/pair.h" nogil:
    ctypedef double pair       # two doubles in a vector register
    ctypedef struct pair_mask:
        pass
    pair pair_of(double first, double second) noexcept
    pair both(double value) noexcept
    double first(pair p) noexcept
    double second(pair p) noexcept
    pair firsts(pair a, pair b) noexcept
    pair seconds(pair a, pair b) noexcept
    pair_mask above(pair a, pair b) noexcept
    pair where(pair_mask mask, pair a) noexcept
    pair larger(pair a, pair b) noexcept
    int pattern_of(pair_mask point0, pair_mask point1) noexcept
    pair_mask active_neurons(int pattern, int point) noexcept
    bint both_within(pair a, double bound) noexcept

cdef extern from "_kernel/nodes.h" nogil:
    enum: NODES
    ctypedef struct nodes:     # values at the nodes of a leap
        double at[24]          # NODES
    void apply(const nodes* matrix, double start, const nodes* f, nodes* out) noexcept
    void exp_nodes(const nodes* x, nodes* out) noexcept

cdef extern from "_kernel/smooth.h" nogil:
    enum: EXPONENTIAL, LOGISTIC  # losses
    enum: LANES                # runs that step together
    ctypedef struct FixedSmooth_one:
        double s[2][1]
        double ds[2][1]
        double now[2][1]
        double coupling[2][2][1]
        double steps[1]
        double sum[2][1]
        double sum_low[2][1]
    ctypedef struct TrainedSmooth_one:
        double pull[2][1]
        double dpull[2][1]
        double now[2][1]
        double v[2][1]
        double z[2][2][1]
        double gram[2][3][1]
        double dv[2][1]
        double dv_low[2][1]
        double dz[2][2][1]
        double impulse[2][2][1]
        double impulse_low[2][2][1]
    ctypedef struct DecoupledSmooth_pair:
        pair pull[1]
        pair dpull[1]
        pair now[1]
        pair v[1]
        pair z[1]
        pair gram[1]
        pair dv[1]
        pair dv_low[1]
        pair impulse[1]
        pair impulse_low[1]
    ctypedef struct FixedSmooth_lanes:
        pass
    ctypedef struct TrainedSmooth_lanes:
        pass
    ctypedef struct DecoupledSmooth_halves:
        pass
    int GROUP                  # steps that are added up before they are compensated
    int FIXED_FIELDS
    int TRAINED_FIELDS
    int DECOUPLED_FIELDS
    void fixed_steps_lanes(FixedSmooth_lanes* block, int n, int loss, bint cubic) noexcept
    void trained_steps_lanes(TrainedSmooth_lanes* block, int n, double h, int loss, bint cubic) noexcept
    void decoupled_steps_halves(DecoupledSmooth_halves* block, int n, double h, int loss, bint cubic) noexcept
    void put_in_lane(void* lanes, int lane, const void* one, int fields) noexcept
    void take_from_lane(const void* lanes, int lane, void* one, int fields) noexcept
    void fixed_steps_one(FixedSmooth_one* block, int n, int loss, bint cubic) noexcept
    void trained_steps_one(TrainedSmooth_one* block, int n, double h, int loss, bint cubic) noexcept
    void decoupled_steps_pair(DecoupledSmooth_pair* block, int n, double h, int loss, bint cubic) noexcept

# A State unfolded for stepping. Whatever changes is measured from the block's start. A pair runs over the
# neurons j, or, where marked (i), over the points.
cdef struct Block:
    int pattern                # activation pattern now
    int span                   # steps for which that provably holds; 0: each has to look
    pair residual              # s_i now (i)
    pair margin                # m_i at the start (i)
    pair margin_low            # what rounding left out of it (i)
    FixedSmooth_one fixed      # such a stretch, by output weights
    TrainedSmooth_one trained
    DecoupledSmooth_pair single  # instead of `trained` if the neurons are decoupled:
    bint decoupled             # no neuron sees both points, no point is seen by both neurons
    bint swapped               # then: neuron 0 goes with point 1 and neuron 1 with point 0
    bint cubic                 # in a span, s_i to degree 3 in Δm_i will do
    # general stretch
    pair kink[2]               # −z_ji at the start: neuron j is active on point i while dz_ji exceeds it
    pair base[2]               # max(0, kink)
    pair push[2][2]            # push[i][k]: change of z_ji per unit of impulse[k]
    pair dz[2]                 # change of z_ji since the start
    pair impulse[2]            # impulse[k] = Σ a_jk s_k, times v_j of the step if v is trained
    pair impulse_low[2]
    pair v                     # output weights at the start
    pair dv                    # their change
    pair dv_low
    pair output[2]             # max(0, z_ji) now, kept up only if v is trained
    pair change                # change of m_i (i)
    pair anchor                # `change` about which s_i is expanded (i)
    pair taylor[4]             # s_i = Σ_n taylor[n] (anchor − change)^n (i)
