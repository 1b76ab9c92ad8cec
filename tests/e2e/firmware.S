// Firmware with PSCI at EL3 for QEMU's virt with a secure world and a GICv3, as rude
// as the rules allow: whatever is UNKNOWN after a warm reset is left at a value that
// hurts. All cores begin here, in the flash at address 0. Symbols from outside choose:
//   NEWER     1: the core has fine-grained traps and HCRX_EL2, which are left dirty too
//   FEATURES  what PSCI_FEATURES answers about CPU_SUSPEND
//   SUSPEND   what CPU_SUSPEND answers
//   DOWN      1: it powers down where that is asked for, until an interrupt is pending
//   OFF_MS    how long a core takes from CPU_OFF until it is off; until then it is on
//   HELD      this core is on from the beginning, and stuck here; 0 for none
//   SERROR    1: whoever calls AFFINITY_INFO gets an SError for it
//   SDEI      1: it has SDEI, for EL2, with event 0
        .equ    GICD, 0x08000000
        .equ    GICR, 0x080a0000        // a frame of 128 KiB for each core
        .equ    SECURE, 0x0e000000      // memory of the secure world
        .equ    STACKS, 0x1000          // from there on, 256 bytes each
        .equ    TREE, 0x40300000
        .equ    IMAGE, 0x40400000
        .equ    CPUS, 3
        .equ    OFF, 0                  // states of a core
        .equ    ON, 1
        .equ    PENDING, 2

// Of each core: where it is to go, with what in x0, its state.
        .equ    ENTRY, 0
        .equ    CONTEXT, 8
        .equ    STATE, 16
        .equ    HANDLER, 24             // of event 0, 0 while that is not enabled
        .equ    ARGUMENT, 32
        .equ    RUNNING, 40
        .equ    REGISTERED, 48

// What an event interrupts, 256 bytes for each core.
        .equ    CONTEXTS, 0x4000
        .equ    EVENT_SGI, 15           // of group 0: EL3 takes it

        .macro  words to, core
        ldr     \to, =SECURE
        add     \to, \to, \core, lsl #6
        .endm

        .macro  context to, with
        mrs     \to, mpidr_el1
        and     \to, \to, #0xff
        ldr     \with, =SECURE + CONTEXTS
        add     \to, \with, \to, lsl #8
        .endm

        .macro  restore_few
        ldp     x0, x1, [x4]
        ldp     x2, x3, [x4, #16]
        ldp     x6, x7, [x4, #48]
        ldp     x4, x5, [x4, #32]
        eret
        .endm

        .macro  restore
        ldp     x8, x9, [x4, #64]
        ldp     x10, x11, [x4, #80]
        ldp     x12, x13, [x4, #96]
        ldp     x14, x15, [x4, #112]
        ldp     x16, x17, [x4, #128]
        restore_few
        .endm

        adr     x0, vectors
        msr     vbar_el3, x0
        mrs     x19, mpidr_el1
        and     x19, x19, #0xff
        words   x20, x19
        ldr     x0, =SECURE + STACKS + 0x100
        add     x21, x0, x19, lsl #8
        ldr     x0, =0x531 | (NEWER << 27) | (NEWER << 38) | (SDEI << 2) // SCR_EL3: NS, HCE, RW, FGTEn, HXEn, FIQ
        msr     scr_el3, x0
        msr     cptr_el3, xzr
        mov     x0, #0xf
        msr     S3_6_C12_C12_5, x0      // ICC_SRE_EL3
        isb
        // Interrupts are the non-secure world's, and none was ever finished.
        ldr     x1, =GICR
        add     x1, x1, x19, lsl #17
        str     wzr, [x1, #0x14]        // GICR_WAKER
        add     x1, x1, #0x10000
        ldr     w0, =~(SDEI << EVENT_SGI)
        str     w0, [x1, #0x80]         // GICR_IGROUPR0
        str     wzr, [x1, #0xd00]       // GICR_IGRPMODR0
        mov     w2, #-1
        str     w2, [x1, #0x100]        // GICR_ISENABLER0
        str     w0, [x1, #0x200]        // GICR_ISPENDR0
        str     w0, [x1, #0x300]        // GICR_ISACTIVER0
        mov     w0, #-1
        .if     SDEI
        mov     x2, #1
        msr     S3_0_C12_C12_6, x2      // ICC_IGRPEN0_EL1
        .endif
        cbnz    x19, others
        ldr     x1, =GICD
        mov     w2, #0x30               // ARE_S, ARE_NS
        str     w2, [x1]
        add     x3, x1, #0x84           // GICD_IGROUPR1
        mov     x4, #7
1:      str     w0, [x3]
        str     w0, [x3, #0x80]         // GICD_ISENABLER
        str     w0, [x3, #0x180]        // GICD_ISPENDR
        add     x3, x3, #4
        subs    x4, x4, #1
        b.ne    1b
        mov     w2, #0x32 | SDEI        // EnableGrp1NS, EnableGrp0
        str     w2, [x1]
        ldr     x1, =IMAGE
        ldr     x0, =TREE
        b       enter

// On, as far as anybody can tell, and in nobody's hands.
others: cmp     x19, #HELD
        b.ne    wait
        mov     x0, #ON
        str     x0, [x20, #STATE]
1:      wfi
        b       1b

wait:   mov     sp, x21
1:      wfe
        ldr     x1, [x20, #ENTRY]
        cbz     x1, 1b
        str     xzr, [x20, #ENTRY]
        ldr     x0, [x20, #CONTEXT]

// To x1 at EL2, with x0.
enter:  mov     sp, x21
        mov     x2, #ON
        str     x2, [x20, #STATE]
        dsb     sy
        ldr     x2, =0x30c50830         // SCTLR_EL2: MMU and caches off
        msr     sctlr_el2, x2
        mov     x2, #-1
        ldr     x3, =0xfffff1ff         // reaches EL1 with nothing to spare
        ldr     x4, =0x00000004886f8038 // HCR_EL2: E2H, RW, TGE, TVM, TTLB, TPU, TPC, TSW, TID, AMO, IMO, FMO
        msr     hcr_el2, x4
        isb
        msr     cptr_el2, x2            // without E2H: SIMD is trapped
        msr     cnthctl_el2, xzr        // and the physical counter
        msr     cntvoff_el2, x3
        msr     hstr_el2, x2
        msr     vttbr_el2, x3
        msr     vpidr_el2, xzr
        msr     vmpidr_el2, x3
        ldr     x4, =0x00000fe0         // MDCR_EL2: TDRA, TDOSA, TDA, TDE, TPM, TPMCR
        msr     mdcr_el2, x4
        msr     vbar_el2, x2
        msr     vbar_el1, x2
        mov     x4, #1
        msr     S3_4_C12_C11_0, x4      // ICH_HCR_EL2.En
        .if     NEWER
        msr     S3_4_C1_C1_4, x2        // HFGRTR_EL2
        msr     S3_4_C1_C1_5, x2        // HFGWTR_EL2
        msr     S3_4_C1_C1_6, x2        // HFGITR_EL2
        msr     S3_4_C3_C1_4, x2        // HDFGRTR_EL2
        msr     S3_4_C3_C1_5, x2        // HDFGWTR_EL2
        msr     S3_4_C1_C2_2, x2        // HCRX_EL2
        .endif
        msr     cpacr_el1, xzr
        msr     cntkctl_el1, xzr
        mov     x4, #2
        msr     S3_0_C12_C12_4, x4      // ICC_CTLR_EL1.EOImode
        mov     x4, #7
        msr     S3_0_C12_C12_3, x4      // ICC_BPR1_EL1
        mov     x4, #0xff * SDEI        // where EL3 takes group 0, EL1 cannot leave 0
        msr     S3_0_C4_C6_0, x4        // ICC_PMR_EL1
        msr     S3_0_C12_C12_7, xzr     // ICC_IGRPEN1_EL1
        mov     x2, #0x3c9              // EL2h, all masked
        msr     spsr_el3, x2
        msr     elr_el3, x1
        isb
        eret

        .macro  is number, to
        ldr     w4, =\number
        cmp     w0, w4
        b.eq    \to
        .endm

// A call of PSCI's, from the core in x6, whose words are at x7.
call:   stp     x4, x5, [sp, #-32]!
        stp     x6, x7, [sp, #16]
        mrs     x6, mpidr_el1
        and     x6, x6, #0xff
        words   x7, x6
        is      0x84000000, version
        is      0x8400000a, features
        is      0xc4000001, suspend
        is      0x84000002, off
        is      0xc4000003, on
        is      0xc4000004, affinity
        .if     SDEI
        mrs     x4, spsr_el3            // SDEI is EL2's
        tbz     x4, #3, 1f
        is      0xc4000020, sdei_version
        is      0xc4000021, sdei_register
        is      0xc4000022, sdei_enable
        is      0xc4000025, sdei_complete
        is      0xc400002c, sdei_unmask
        is      0xc400002f, sdei_signal
        is      0xc4000031, sdei_reset
1:
        .endif
        mov     x0, #-1                 // NOT_SUPPORTED
back:   ldp     x6, x7, [sp, #16]
        ldp     x4, x5, [sp], #32
        eret

version:
        ldr     x0, =0x10001
        b       back

features:
        ldr     w4, =0xc4000001
        mov     x0, #FEATURES
        cmp     w1, w4
        b.eq    back
        ldr     w4, =0x84000002
        mov     x0, #0
        cmp     w1, w4
        b.eq    back
        mov     x0, #-1
        b       back

suspend:                                // state, entry, context
        .if     DOWN
        tbz     x1, #16, 1f
2:      wfi
        mrs     x4, isr_el1
        tst     x4, #0xc0               // an interrupt of EL1's is an FIQ here
        b.eq    2b
        str     x3, [x7, #CONTEXT]
        str     x2, [x7, #ENTRY]
        b       wait_off
1:
        .endif
        mov     x0, #SUSPEND
        b       back

// The core is on until it is off.
off:    mrs     x4, cntfrq_el0
        mov     x5, #1000
        udiv    x4, x4, x5
        ldr     x5, =OFF_MS
        mul     x4, x4, x5
        isb
        mrs     x5, cntpct_el0
        add     x4, x4, x5
1:      isb
        mrs     x5, cntpct_el0
        cmp     x5, x4
        b.lo    1b
        mov     x4, #OFF
        str     x4, [x7, #STATE]
        dsb     sy
        b       wait_off

on:     and     x4, x1, #0xff
        mov     x0, #-2                 // INVALID_PARAMETERS
        cmp     x4, #CPUS
        b.hs    back
        words   x7, x4
        ldr     x4, [x7, #STATE]
        mov     x0, #-4                 // ALREADY_ON
        cmp     x4, #ON
        b.eq    back
        mov     x0, #-5                 // ON_PENDING
        cmp     x4, #PENDING
        b.eq    back
        mov     x4, #PENDING
        str     x4, [x7, #STATE]
        str     x3, [x7, #CONTEXT]
        dsb     sy
        str     x2, [x7, #ENTRY]
        dsb     sy
        sev
        mov     x0, #0
        b       back

affinity:
        .if     SERROR
        mrs     x4, hcr_el2
        mov     x5, #0x120              // AMO, VSE
        orr     x4, x4, x5
        msr     hcr_el2, x4
        isb
        .endif
        and     x4, x1, #0xff
        mov     x0, #-2
        cmp     x4, #CPUS
        b.hs    back
        words   x7, x4
        ldr     x4, [x7, #STATE]
        mov     x0, #2                  // ON_PENDING
        cmp     x4, #PENDING
        b.eq    back
        eor     x0, x4, #1              // 0 is on, 1 is off
        b       back

sdei_version:
        mov     x0, #1 << 48
        b       back

sdei_register:                          // event, handler, argument
        mov     x0, #-2
        cbnz    x1, back
        mov     x0, #-3                 // DENIED: it is registered
        ldr     x4, [x7, #REGISTERED]
        cbnz    x4, back
        str     x2, [x7, #REGISTERED]
        str     x3, [x7, #ARGUMENT]
        mov     x0, #0
        b       back

sdei_reset:
        str     xzr, [x7, #REGISTERED]
        str     xzr, [x7, #HANDLER]
        mov     x0, #0
        b       back

sdei_enable:
        ldr     x4, [x7, #REGISTERED]
        str     x4, [x7, #HANDLER]
sdei_unmask:
        mov     x0, #0
        b       back

sdei_signal:                            // event, core
        mov     x4, #1
        and     x5, x2, #0xff
        lsl     x4, x4, x5
        orr     x4, x4, #EVENT_SGI << 24
        dsb     sy
        msr     S3_0_C12_C11_7, x4      // ICC_SGI0R_EL1
        isb
        mov     x0, #0
        b       back

sdei_complete:                          // goes on with what the event interrupted
        add     sp, sp, #32
        context x4, x5
        mrs     x5, mpidr_el1
        and     x5, x5, #0xff
        words   x6, x5
        str     xzr, [x6, #RUNNING]
        ldp     x0, x1, [x4, #144]
        msr     elr_el3, x0
        msr     spsr_el3, x1
        restore

// An interrupt of group 0, whatever the core has masked.
event:  stp     x4, x5, [sp, #-16]!
        context x4, x5
        stp     x0, x1, [x4]
        ldp     x0, x1, [sp], #16
        stp     x0, x1, [x4, #32]
        stp     x2, x3, [x4, #16]
        stp     x6, x7, [x4, #48]
        mrs     x5, S3_0_C12_C8_0       // ICC_IAR0_EL1
        msr     S3_0_C12_C8_1, x5       // ICC_EOIR0_EL1
        mrs     x5, mpidr_el1
        and     x5, x5, #0xff
        words   x6, x5
        ldr     x7, [x6, #HANDLER]
        ldr     x5, [x6, #RUNNING]
        // One that comes before the last is complete is lost here.
        cmp     x5, #0
        ccmp    x7, #0, #4, eq
        b.ne    1f
        restore_few
1:      mov     x5, #1
        str     x5, [x6, #RUNNING]
        stp     x8, x9, [x4, #64]
        stp     x10, x11, [x4, #80]
        stp     x12, x13, [x4, #96]
        stp     x14, x15, [x4, #112]
        stp     x16, x17, [x4, #128]
        mrs     x2, elr_el3
        mrs     x3, spsr_el3
        stp     x2, x3, [x4, #144]
        mov     x0, #0
        ldr     x1, [x6, #ARGUMENT]
        msr     elr_el3, x7
        mov     x5, #0x3c9              // EL2h, all masked
        msr     spsr_el3, x5
        eret

wait_off:
        mrs     x19, mpidr_el1
        and     x19, x19, #0xff
        words   x20, x19
        ldr     x0, =SECURE + STACKS + 0x100
        add     x21, x0, x19, lsl #8
        b       wait
        .ltorg

        .balign 2048
vectors:
        .rept   8
        b       .
        .balign 128
        .endr
        b       call                    // from a lower level
        .balign 128
        b       .
        .balign 128
        b       event
        .balign 128
        .rept   5
        b       .
        .balign 128
        .endr
