// How a stale core is stuck, where it matters to the instruction and only an image may
// execute it; the loops for any exception level are in crates/routines/src/stuck.S.
// They are called as those are.

    .section .stuck, "ax"

// What the kernel's crash-stop handler ends in where a core cannot be turned
// off: cpu_park_loop. Reads the word so that it can be called back.
    stuck   stale_park_loop
    mov     w3, #0
1:  wfe
    wfi
    ldr     w4, [x0]
    cmp     w4, w3
    b.eq    1b
    answer  1b
    end_stuck stale_park_loop

    stuck   stale_tlbi_storm
    lsr     x3, x2, #12
1:  tlbi    vaae1is, x3
    dsb     ish
    b       1b
    end_stuck stale_tlbi_storm

// x2: pages of the core's own. One more store goes to pages of which an initiator takes the
// second away: until it is back, that store faults and is tried again.
    stuck   stale_store_storm_seam
    mov     x5, #SEAM
    add     x5, x5, #(4096 - 4)
    mov     w4, #0
1:  mov     x3, #(4096 - 4)
2:  str     x3, [x2, x3]
    add     x3, x3, #4096
    cmp     x3, #(SCRATCH_SIZE - 4096)
    b.lo    2b
    add     w4, w4, #1
    orr     x6, x4, x4, lsl #32
    str     x6, [x5]
    b       1b
    end_stuck stale_store_storm_seam

// x2: a device's register. EL2 holds the load up, for as long as it is watched.
    stuck   stale_device_stuck
1:  ldr     w3, [x2]
    ldr     w4, [x0]
    cmp     w4, #1
    b.ne    1b
    ret
    end_stuck stale_device_stuck

// x2 is mapped nowhere: each load is an exception that returns to itself.
    stuck   stale_fault_loop
1:  ldr     x3, [x2]
    b       1b
    end_stuck stale_fault_loop

// MMU and caches off. The words at x0 and x1 have lines of their own, which
// the other side cleans and invalidates to the point of coherency. This core's
// own dirty copies go first: that maintenance would write them over the answer,
// and until then they hide the question.
    stuck   stale_mmu_off
    mrs     x5, sctlr_el1
    ldr     x6, =SCTLR_OFF
    dc      civac, x0
    dc      civac, x1
    dsb     sy
    msr     sctlr_el1, x6
    isb
    mov     w3, #0
1:  ldr     w4, [x0]
    cmp     w4, w3
    b.eq    1b
    cmp     w4, #1
    b.eq    2f
    mov     w3, w4
    str     x4, [x1]
    dsb     sy
    b       1b
    // Whoever asked may have fetched the line before the last answer: from here
    // on a cache may write it back over the answer.
2:  dc      ivac, x1
    dsb     sy
    msr     sctlr_el1, x5
    isb
    ret
    .ltorg
    end_stuck stale_mmu_off
