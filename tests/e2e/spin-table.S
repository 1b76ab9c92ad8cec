// Firmware without PSCI, for QEMU's virt with GICv2 and a secure world: all cores
// begin here at EL3, in the flash at address 0. Gives every interrupt to the
// non-secure world, goes to EL2, and sends one core, not the first, into the image;
// each other core waits for an address in its word of the spin table.
        .equ    BOOT, 2
        .equ    GICD, 0x08000000
        .equ    GICC, 0x08010000
        .equ    TABLE, 0x40100000
        .equ    COPY, 0x40200000
        .equ    TREE, 0x40300000
        .equ    IMAGE, 0x40400000

        mrs     x19, mpidr_el1
        and     x19, x19, #0xff
        ldr     x1, =GICD
        mov     w2, #-1
        str     w2, [x1, #0x80]         // GICD_IGROUPR0, each core's own
        cmp     x19, #BOOT
        b.ne    2f
        add     x3, x1, #0x84
        mov     x4, #31
1:      str     w2, [x3], #4
        subs    x4, x4, #1
        b.ne    1b
2:      ldr     x1, =GICC
        mov     w2, #0xff
        str     w2, [x1, #4]            // GICC_PMR: the non-secure half too
        mov     x0, #0x5b1              // SCR_EL3: NS, SMD, HCE, RW
        msr     scr_el3, x0
        msr     cptr_el3, xzr
        ldr     x0, =0x30c50830         // SCTLR_EL2: MMU and caches off
        msr     sctlr_el2, x0
        mov     x0, #0x3c9              // EL2h, all masked
        msr     spsr_el3, x0
        adr     x0, 3f                  // the flash is the secure world's alone:
        ldr     x1, =COPY               // go on in the copy in memory
        add     x0, x0, x1
        msr     elr_el3, x0
        eret
3:      cmp     x19, #BOOT
        b.ne    4f
        ldr     x0, =TREE
        mov     x1, xzr
        mov     x2, xzr
        mov     x3, xzr
        ldr     x4, =IMAGE
        br      x4
4:      ldr     x1, =TABLE
        add     x1, x1, x19, lsl #3
5:      wfe
        ldr     x0, [x1]
        cbz     x0, 5b
        br      x0
