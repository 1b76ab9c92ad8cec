// What only a bare image may execute.

    .section .routines, "ax"

// The self-test that must be found: masks everything and never returns.
    routine selftest_hang
    msr     DAIFSet, #0xf
    isb
    .global selftest_hang_here
selftest_hang_here:
    b       selftest_hang_here
    end_routine selftest_hang

// run_stepped(x0, x1: arguments, x2: routine): opens debug exceptions, so that
// stepping begins here, and goes on in the routine, which returns to the caller.
    routine run_stepped
    msr     DAIFClr, #8
    br      x2
    end_routine run_stepped

// What a capture kernel broadcasts first. While it patches its alternatives,
// to all instruction caches:
    routine capture_ic_ialluis
    ic      ialluis
    dsb     ish
    isb
    ret
    end_routine capture_ic_ialluis

// and while it clears a slot of its fixmap, to all TLBs; x0: page number.
    routine capture_tlbi_vaale1is
    dsb     ishst
    tlbi    vaale1is, x0
    dsb     ish
    isb
    ret
    end_routine capture_tlbi_vaale1is
