// How a stale core is stuck, where it matters to the instruction.
//
// Each is called with x0: the word that tells it to stay (0), to show a sign
// of life (any even number) or to leave (1); x1: where the sign of life goes;
// x2: an address of its own. All are leaves that keep off the stack, so that
// the interrupt handler can let any of them return by its link register.

    .section .stuck, "ax"

    .macro  stuck name
    .balign 64
    .global \name
    .type   \name, %function
\name:
    .endm

    .macro  end_stuck name
    .size   \name, . - \name
    .endm

// Once the word in x0 is new (in w4; w3 holds the last): leaves, or answers
// and goes back to \loop.
    .macro  answer loop
    cmp     w4, #1
    b.eq    9f
    mov     w3, w4
    str     x4, [x1]
    b       \loop
9:  ret
    .endm

    stuck   stale_spin
    mov     w3, #0
1:  ldr     w4, [x0]
    cmp     w4, w3
    b.eq    1b
    answer  1b
    end_stuck stale_spin

    stuck   stale_wfe
    mov     w3, #0
1:  wfe
    ldr     w4, [x0]
    cmp     w4, w3
    b.eq    1b
    answer  1b
    end_stuck stale_wfe

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

    stuck   stale_branch_self
1:  b       1b
    end_stuck stale_branch_self

// Cortex-A9 erratum 794072: dmb, fewer than ten other instructions, no load
// or store.
    stuck   stale_dmb_loop
1:  dmb     sy
    b       1b
    end_stuck stale_dmb_loop

// Takes and retakes an exclusive on its own line at x2, for ever.
    stuck   stale_ldxr_stxr
1:  ldaxr   w3, [x2]
    add     w3, w3, #1
    stxr    w4, w3, [x2]
    b       1b
    end_stuck stale_ldxr_stxr

// The wait of queued_spin_lock_slowpath for the predecessor's handover:
// smp_cond_load_acquire on the node's `locked` word at x2.
    stuck   queued_spin_lock_slowpath
    sevl
1:  wfe
    ldaxr   w3, [x2]
    cbz     w3, 1b
    ret
    end_stuck queued_spin_lock_slowpath

    stuck   stale_store_storm
    mov     x3, #0
1:  str     x3, [x2, x3]
    add     x3, x3, #64
    and     x3, x3, #(SCRATCH_SIZE - 1)
    b       1b
    end_stuck stale_store_storm

// Eight bytes across the end of each page.
    stuck   stale_store_storm_pages
1:  mov     x3, #(4096 - 4)
2:  str     x3, [x2, x3]
    add     x3, x3, #4096
    cmp     x3, #(SCRATCH_SIZE - 4096)
    b.lo    2b
    b       1b
    end_stuck stale_store_storm_pages

// x2: the lines that an initiator works on.
    stuck   stale_prfm_storm
    mov     x3, #0
1:  prfm    pstl1keep, [x2, x3]
    add     x3, x3, #64
    and     x3, x3, #(SCRATCH_SIZE - 1)
    b       1b
    end_stuck stale_prfm_storm

    stuck   stale_load_storm
    mov     x3, #0
1:  ldr     x4, [x2, x3]
    add     x3, x3, #64
    and     x3, x3, #(SCRATCH_SIZE - 1)
    b       1b
    end_stuck stale_load_storm

// A ring of jumps at x2, made at run time: more than a core's first caches hold.
    stuck   stale_ifetch_storm
    br      x2
    end_stuck stale_ifetch_storm

    stuck   stale_dc_storm
    mov     x3, #0
1:  add     x4, x2, x3
    str     x3, [x4]
    dc      civac, x4
    add     x3, x3, #64
    and     x3, x3, #(SCRATCH_SIZE - 1)
    tst     x3, #0x3ff
    b.ne    1b
    dsb     sy
    b       1b
    end_stuck stale_dc_storm

    stuck   stale_ic_storm
    mov     x3, #0
1:  add     x4, x2, x3
    ic      ivau, x4
    add     x3, x3, #64
    and     x3, x3, #(SCRATCH_SIZE - 1)
    tst     x3, #0x3ff
    b.ne    1b
    dsb     ish
    b       1b
    end_stuck stale_ic_storm

    stuck   stale_tlbi_storm
    lsr     x3, x2, #12
1:  tlbi    vaae1is, x3
    dsb     ish
    b       1b
    end_stuck stale_tlbi_storm

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
