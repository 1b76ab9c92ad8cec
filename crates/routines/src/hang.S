    .section .routines, "ax"

// The self-test that must be found: masks everything and never returns.
    routine selftest_hang
    msr     DAIFSet, #0xf
    isb
    .global selftest_hang_here
selftest_hang_here:
    b       selftest_hang_here
    end_routine selftest_hang
