// How a core or a thread is stuck, where it matters to the instruction: what any
// exception level may execute.
//
// Each is called with x0: the word that tells it to stay (0), to show a sign
// of life (any even number) or to leave (1); x1: where the sign of life goes;
// x2: an address of its own. All are leaves that keep off the stack, so that
// the handler of an interrupt, or of a signal, can let any of them return by its
// link register.

    .section .stuck, "ax"

    .global stale_loops
stale_loops:

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
    and     x3, x3, #(STORM_SIZE - 1)
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
    and     x3, x3, #(STORM_SIZE - 1)
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

    .global stale_loops_end
stale_loops_end:
