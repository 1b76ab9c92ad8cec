// From the exception level of entry down to EL1, leaving EL2 (and EL3) in a
// state in which they stay out of the way.

    .section .text.entry, "ax"

// Goes to EL1 with the MMU off and returns to x30 there. Clobbers x0-x5.
drop_to_el1:
    mrs     x0, CurrentEL
    cmp     x0, #(2 << 2)
    b.hi    1f
    b.eq    from_el2
    ldr     x0, =SCTLR_OFF
    msr     sctlr_el1, x0
    isb
    ret

    // EL3: the non-secure world below, and nobody but us above it.
1:  address x0, el3_vectors
    msr     vbar_el3, x0
    isb
    ldr     x0, =SCR_VALUE
    // EL2 may write the registers of fine-grained traps and HCRX_EL2, where there
    // are any: FGTEn, FGTEn2, HXEn.
    mrs     x1, id_aa64mmfr0_el1
    ubfx    x1, x1, #56, #4             // FGT
    cbz     x1, 4f
    orr     x0, x0, #SCR_FGT
    cmp     x1, #2
    b.lo    4f
    orr     x0, x0, #SCR_FGT2
4:  mrs     x1, id_aa64mmfr1_el1
    ubfx    x1, x1, #40, #4             // HCX
    cbz     x1, 5f
    orr     x0, x0, #SCR_HCX
5:  msr     scr_el3, x0
    msr     cptr_el3, xzr
    msr     mdcr_el3, xzr
    mrs     x0, id_aa64pfr0_el1
    ubfx    x1, x0, #24, #4             // GIC system registers
    cbz     x1, 2f
    mov     x2, #0xf                    // SRE, DFB, DIB, Enable
    msr     S3_6_C12_C12_5, x2          // ICC_SRE_EL3
    isb
    msr     S3_0_C12_C12_7, xzr         // ICC_IGRPEN1_EL1, secure copy
2:  ubfx    x1, x0, #8, #4              // EL2
    cbz     x1, 3f
    mov     x1, #SPSR_EL2H
    msr     spsr_el3, x1
    adr     x1, from_el2
    msr     elr_el3, x1
    ldr     x1, =SCTLR_EL2_OFF
    msr     sctlr_el2, x1
    isb
    eret
3:  mov     x1, #SPSR_EL1H
    msr     spsr_el3, x1
    msr     elr_el3, x30
    ldr     x0, =SCTLR_OFF
    msr     sctlr_el1, x0
    isb
    eret

from_el2:
    // First of all: what is undefined below must come to us, as firmware's vectors
    // may be gone.
    address x0, el2_vectors
    msr     vbar_el2, x0
    isb
    // Nothing is trapped: EL1 sees the machine as if it had been entered there.
    ldr     x0, =HCR_VALUE
    msr     hcr_el2, x0
    isb
    mrs     x5, hcr_el2
    ubfx    x5, x5, #34, #1             // E2H is RES1 where FEAT_E2H0 is missing
    ldr     x0, =SCTLR_EL2_OFF
    msr     sctlr_el2, x0
    isb
    // EL1 may use the physical timer, and SIMD is not trapped; both registers have
    // another layout with E2H.
    mov     x0, #CNTHCTL_VALUE
    mov     x1, #CPTR_VALUE
    cbz     x5, 6f
    mov     x0, #CNTHCTL_E2H
    mov     x1, #CPACR_VALUE            // its layout is CPACR_EL1's
6:  msr     cnthctl_el2, x0
    msr     cptr_el2, x1
    msr     cntvoff_el2, xzr
    // UNKNOWN after a warm reset with EL3, and firmware may not know them: a
    // fine-grained trap could take the very thing that is measured
    // (HFGITR_EL2.ICIVAU).
    mrs     x0, id_aa64mmfr0_el1
    ubfx    x0, x0, #56, #4             // FGT
    cbz     x0, 7f
    msr     S3_4_C1_C1_4, xzr           // HFGRTR_EL2
    msr     S3_4_C1_C1_5, xzr           // HFGWTR_EL2
    msr     S3_4_C1_C1_6, xzr           // HFGITR_EL2
    msr     S3_4_C3_C1_4, xzr           // HDFGRTR_EL2
    msr     S3_4_C3_C1_5, xzr           // HDFGWTR_EL2
    mrs     x1, id_aa64pfr0_el1
    ubfx    x1, x1, #44, #4             // AMU
    cbz     x1, 8f
    msr     S3_4_C3_C1_6, xzr           // HAFGRTR_EL2
8:  cmp     x0, #2
    b.lo    7f
    msr     S3_4_C3_C1_2, xzr           // HFGRTR2_EL2
    msr     S3_4_C3_C1_3, xzr           // HFGWTR2_EL2
    msr     S3_4_C3_C1_7, xzr           // HFGITR2_EL2
    msr     S3_4_C3_C1_0, xzr           // HDFGRTR2_EL2
    msr     S3_4_C3_C1_1, xzr           // HDFGWTR2_EL2
7:  mrs     x0, id_aa64mmfr1_el1
    ubfx    x0, x0, #40, #4             // HCX
    cbz     x0, 9f
    msr     S3_4_C1_C2_2, xzr           // HCRX_EL2
9:
    msr     hstr_el2, xzr
    msr     vttbr_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mov     x1, xzr                     // MDCR_EL2.HPMN: all counters to EL1
    mrs     x0, id_aa64dfr0_el1
    ubfx    x2, x0, #8, #4              // PMUVer
    cbz     x2, 1f
    cmp     x2, #0xf
    b.eq    1f
    mrs     x1, pmcr_el0
    ubfx    x1, x1, #11, #5
1:  msr     mdcr_el2, x1
    mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #24, #4
    cbz     x0, 2f
    mrs     x0, S3_4_C12_C9_5           // ICC_SRE_EL2
    mov     x1, #9                      // SRE, Enable
    orr     x0, x0, x1
    msr     S3_4_C12_C9_5, x0
    isb
    mov     x0, xzr                     // stays where it is stepped over
    mrs     x0, S3_4_C12_C9_5           // still 0 where EL3 keeps SRE 0: then
    tbz     x0, #0, 2f                  // the next register is undefined
    msr     S3_4_C12_C11_0, xzr         // ICH_HCR_EL2
2:  ldr     x0, =SCTLR_OFF
    cbz     x5, 3f
    msr     S3_5_C1_C0_0, x0            // SCTLR_EL12: with E2H, sctlr_el1 is EL2's
    b       4f
3:  msr     sctlr_el1, x0
4:
    mov     x0, #SPSR_EL1H
    msr     spsr_el2, x0
    msr     elr_el2, x30
    isb
    eret

    .ltorg

// leave_for(x0: where what is started begins, x1: its end, x2: at EL2?). As the arm64 boot
// protocol has it: MMU and caches off, all of it written back to the point of coherency.
// Its first instructions load the registers that a kernel is given.
    .global leave_for
leave_for:
    cbz     x2, 1f
    hvc     #3                          // goes on at 2, at EL2, whose MMU is off
1:  dsb     sy
    ldr     x2, =SCTLR_OFF
    msr     sctlr_el1, x2
    isb
2:  mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x2, x3, x2                  // data line
    mov     x3, x0
3:  dc      civac, x3
    add     x3, x3, x2
    cmp     x3, x1
    b.lo    3b
    dsb     sy
    ic      iallu
    dsb     nsh
    isb
    br      x0

// EL2 while no fabric is asked for: it traps nothing. These calls are served: one that
// sets the fabric up, one that switches stage 2 on, those of SDEI, and by the number of
// their HVC two that are EL2's own maintenance, and the one by which it leaves. Anything
// else that comes here is EL1's mistake and goes back to EL1.
    .balign 2048
el2_vectors:
    b       el2_undefined               // synchronous, from EL2 itself on SP_EL0
    .rept   3
    .balign 128
    b       el2_reflect
    .endr
    .balign 128
// The same on SP_EL2. A register that an ID register promises may not be there: a core
// that could have a GICv3's beside a GICv2. EL2 goes on behind what reads or writes it.
el2_undefined:
    msr     tpidr_el2, x4
    mrs     x4, esr_el2
    lsr     x4, x4, #26                 // class 0: undefined
    cbnz    x4, 1f
    mrs     x4, elr_el2
    ldrb    w4, [x4, #3]
    cmp     w4, #0xd5                   // MRS, MSR, and no call
    b.ne    1f
    mrs     x4, elr_el2
    add     x4, x4, #4
    msr     elr_el2, x4
    mrs     x4, tpidr_el2
    eret
1:  mrs     x4, tpidr_el2
    b       el2_reflect
    .rept   3
    .balign 128
    b       el2_reflect
    .endr
    .balign 128
    b       el2_call                    // synchronous, from EL1
    .rept   7
    .balign 128
    b       el2_reflect
    .endr

// EL2_INSTALL: x1 points to MAIR, TCR, TTBR0, HCR and MDCR for EL2, x2 is the
// `Core`, x3 the top of its EL2 stack. From then on EL2 runs Rust.
el2_call:
    msr     tpidr_el2, x4
    mrs     x4, esr_el2
    ror     w4, w4, #24                 // an HVC's number, above its class (0x5a)
    cmp     w4, #0x15a
    b.eq    5f
    cmp     w4, #0x25a
    b.eq    6f
    cmp     w4, #0x35a
    b.eq    2b
    cmp     w4, #0x5a
    b.ne    3f
    ldr     x4, =EL2_STAGE2
    cmp     x0, x4
    b.eq    el2_stage2
    ldr     x4, =EL2_INSTALL
    cmp     x0, x4
    b.eq    4f
    ldr     x4, =SDEI_CALLS
    eor     x4, x4, x0
    cmp     x4, #0x1f
    b.ls    9f
3:  mrs     x4, tpidr_el2
    b       el2_reflect
4:
    // Where E2H cannot be cleared, EL2's tables, traps and timers have another layout,
    // which the fabric does not know.
    mrs     x4, hcr_el2
    mov     x0, #-1
    tbnz    x4, #34, 1f
    ldp     x4, x5, [x1]
    msr     mair_el2, x4
    msr     tcr_el2, x5
    ldp     x4, x5, [x1, #16]
    msr     ttbr0_el2, x4
    ldr     x6, [x1, #32]
    mrs     x7, mdcr_el2                // keeps HPMN
    orr     x6, x6, x7
    isb
    tlbi    alle2
    dsb     nsh
    isb
    ldr     x4, =SCTLR_EL2_ON
    msr     sctlr_el2, x4
    isb
    msr     tpidr_el2, x2
    mov     sp, x3
    address x4, el2_fabric_vectors
    msr     vbar_el2, x4
    msr     hcr_el2, x5
    msr     mdcr_el2, x6
    isb
    mov     x0, #0
1:  eret

5:  tlbi    alle2is
    b       7f
6:  tlbi    vmalls12e1is
7:  mrs     x4, tpidr_el2
    eret

// EL2_STAGE2: x1 is VTCR_EL2, x2 VTTBR_EL2.
el2_stage2:
    msr     vtcr_el2, x1
    msr     vttbr_el2, x2
    mrs     x4, hcr_el2
    orr     x4, x4, #1                  // VM
    msr     hcr_el2, x4
    isb
    tlbi    vmalls12e1
    dsb     nsh
    isb
    mov     x0, #0
    eret

// A call of SDEI, which firmware takes from EL2 alone where there is EL2.
9:  mrs     x4, tpidr_el2
    smc     #0
    eret

// Firmware delivers an SDEI event here, whatever is masked; x1 is the core's `request`.
// The core goes on where it was, unless that is in TPIDR_EL0 too: then it stays, as a
// kernel parks a core, until it is released, and answers as in `stale_mmu_off`: EL2's
// caches may be off.
    .global sdei_event
sdei_event:
    mrs     x2, tpidr_el0
    cmp     x2, x1
    b.ne    2f
    add     x3, x1, #ACK_BEHIND_REQUEST
    dc      civac, x1
    dc      civac, x3
    dsb     sy
    mov     w2, #0
1:  ldr     w4, [x1]
    cmp     w4, w2
    b.eq    1b
    mov     w2, w4
    str     x4, [x3]
    dsb     sy
    cmp     w4, #1
    b.ne    1b
    dc      civac, x3
    dsb     sy
2:  ldr     x0, =SDEI_EVENT_COMPLETE
    mov     x1, #0
    smc     #0
    b       .

// Makes EL1 take the exception at its synchronous vector, with EL2's syndrome.
el2_reflect:
    msr     tpidr_el2, x0
    mrs     x0, esr_el2
    msr     esr_el1, x0
    mrs     x0, far_el2
    msr     far_el1, x0
    mrs     x0, elr_el2
    msr     elr_el1, x0
    mrs     x0, spsr_el2
    msr     spsr_el1, x0
    tst     x0, #1                      // from SP_EL0 or SP_EL1?
    mrs     x0, vbar_el1
    b.eq    1f
    add     x0, x0, #0x200
1:  msr     elr_el2, x0
    mov     x0, #SPSR_EL1H
    msr     spsr_el2, x0
    mrs     x0, tpidr_el2
    eret

    .ltorg

// EL3, where the image was entered there and is all the firmware there is. One
// call is served: EL3_WRITE stores w2 at x1, for the registers that only the
// secure world may write. Any other call gets PSCI's NOT_SUPPORTED.
    .balign 2048
el3_vectors:
    b       el3_undefined               // synchronous, from EL3 itself on SP_EL0
    .rept   3
    .balign 128
    b       el3_call
    .endr
    .balign 128
// The same on SP_EL3: EL3 goes on as EL2 does.
el3_undefined:
    msr     tpidr_el3, x3
    mrs     x3, elr_el3
    add     x3, x3, #4
    msr     elr_el3, x3
    mrs     x3, tpidr_el3
    eret
    .rept   11
    .balign 128
    b       el3_call
    .endr

el3_call:
    msr     tpidr_el3, x3
    ldr     x3, =EL3_WRITE
    cmp     x0, x3
    mrs     x3, tpidr_el3
    mov     x0, #-1
    b.ne    1f
    str     w2, [x1]
    dsb     sy
    mov     x0, #0
1:  eret

    .ltorg
