// The image's entry: from wherever firmware leaves a core (EL3, EL2 or EL1,
// MMU off, or all cores at once) to EL1 with the MMU and caches on and a stack.
//
// No Rust runs before that: atomics are undefined with the caches off.
//
// Boot protocol: the arm64 Linux one. x0 is the device tree; the image is at a
// 2 MiB boundary and owns `image_size` bytes from there.

    .section .head, "ax"
    .global image_head
image_head:
    b       entry                       // code0
    .long   0                           // code1
    .quad   0                           // text_offset
    .quad   IMAGE_SIZE                  // from the linker script
    .quad   0b1010                      // little endian, 4 KiB pages, anywhere
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARMd"
    .long   0                           // no PE header

    .section .text.entry, "ax"

// Loads the address of \symbol, PC-relative.
    .macro  address reg, symbol
    adrp    \reg, \symbol
    add     \reg, \reg, :lo12:\symbol
    .endm

// x19: device tree; x20: exception level at entry; x21: image start.
entry:
    mov     x19, x0
    mrs     x20, CurrentEL
    lsr     x20, x20, #2
    address x21, image_head
    msr     DAIFSet, #0xf

    // Firmware starts one core, but some boards and simulators start all of
    // them here at the same moment. Each writes its number, waits until every
    // write has landed, and the last writer is elected. Plain stores only:
    // exclusives are not defined with the caches off. The wait costs a lone core
    // nothing that anyone would notice.
    mrs     x1, mpidr_el1
    ldr     x2, =MPIDR_AFFINITY
    and     x1, x1, x2
    address x3, elected
    ldr     x4, [x3, #8]                // a latecomer finds it decided
    cbnz    x4, pen
    add     x1, x1, #1                  // 0 means nobody
    str     x1, [x3]
    dsb     sy
    mov     x4, #ELECTION_SPINS
1:  subs    x4, x4, #1
    b.ne    1b
    ldr     x4, [x3]
    cmp     x4, x1
    b.ne    pen
    ldr     x4, [x3, #8]                // decided while this core was late?
    cbnz    x4, pen
    mov     x4, #1
    str     x4, [x3, #8]
    dsb     sy

    // The early tables are written with the caches off: no stale line may
    // hide or overwrite them.
    address x0, early_tables
    address x1, early_tables_end
    bl      invalidate_range
    address x0, early_tables
    address x1, early_tables_end
2:  stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    2b

    address x22, early_tables           // root
    add     x23, x22, #0x1000           // next free table
    // The image, in 2 MiB blocks.
    mov     x24, x21
    address x25, image_end
    bl      map_blocks
    // The device tree, if there is one.
    cbz     x19, 3f
    ldr     w0, [x19]
    rev     w0, w0
    ldr     w1, =FDT_MAGIC
    cmp     w0, w1
    b.ne    3f
    ldr     w0, [x19, #4]
    rev     w0, w0
    mov     x1, #FDT_MAX_SIZE
    cmp     x0, x1
    b.hi    3f
    mov     x24, x19
    add     x25, x19, x0
    bl      map_blocks
    b       4f
3:  mov     x19, #0
4:  dsb     sy
    address x0, early_tables
    address x1, early_tables_end
    bl      invalidate_range

    // What a secondary needs to turn its MMU on; kept beside the tables.
    ldr     x0, =MAIR_VALUE
    ldr     x1, =TCR_VALUE
    mrs     x2, id_aa64mmfr0_el1        // PARange decides the output size
    and     x2, x2, #0xf
    mov     x3, #5                      // 48 bits at most: 4 KiB granule
    cmp     x2, x3
    csel    x2, x2, x3, lo
    orr     x1, x1, x2, lsl #32
    address x3, mmu_setup
    ldr     x2, =SCTLR_ON
    stp     x0, x1, [x3]
    stp     x22, x2, [x3, #16]
    dsb     sy
    // Firmware has cleaned the image, but a cache may still hold the line as it
    // was: a core that writes part of it with the caches on would write the rest
    // of that old line back too (Arm ARM, mismatched memory attributes).
    mov     x0, x3
    add     x1, x3, #32
    bl      invalidate_range

    adr     x30, 5f
    b       drop_to_el1
5:  bl      mmu_on

    // Everything from here is cached. Relocate, then clear .bss. The words that
    // hold addresses are listed in the ELF standard's RELR form: an even entry is
    // the address of one; the bits of an odd one say which of the next 63 are.
    address x0, relr_start
    address x1, relr_end
6:  cmp     x0, x1
    b.hs    7f
    ldr     x3, [x0], #8
    tbnz    x3, #0, 1f
    add     x2, x3, x21
    ldr     x4, [x2]
    add     x4, x4, x21
    str     x4, [x2], #8
    b       6b
1:  mov     x5, x2
2:  lsr     x3, x3, #1
    cbz     x3, 4f
    tbz     x3, #0, 3f
    ldr     x4, [x5]
    add     x4, x4, x21
    str     x4, [x5]
3:  add     x5, x5, #8
    b       2b
4:  add     x2, x2, #(63 * 8)
    b       6b
7:  address x0, bss_start
    address x1, bss_end
8:  cmp     x0, x1
    b.hs    9f
    stp     xzr, xzr, [x0], #16
    b       8b

9:  address x0, boot_stack_top
    mov     sp, x0                      // SP_EL1: exceptions
    msr     SPSel, #0
    address x0, boot_thread_stack_top
    mov     sp, x0                      // SP_EL0: the program
    address x0, el1_vectors
    msr     vbar_el1, x0
    msr     tpidr_el1, xzr
    mov     x0, #CPACR_VALUE
    msr     cpacr_el1, x0
    isb
    mov     x0, x19
    mov     x1, x20
    mov     x29, #0
    mov     x30, #0
    bl      {primary_main}
    b       .

// A core that was not elected waits here. Of all that others write it reads only
// the word that names the core to go, by the address of its `Core`.
    .global pen
pen:
    address x1, pen_release
    mrs     x2, mpidr_el1
    ldr     x3, =MPIDR_AFFINITY
    and     x2, x2, x3
    sevl                                // look first: the event may be past
1:  wfe
    ldr     x0, [x1]
    cbz     x0, 1b
    ldr     x4, [x0, #CORE_AFFINITY]
    cmp     x4, x2
    b.ne    1b
    // fall through: x0 is as PSCI hands it over

// A secondary, from PSCI, a spin table or the pen. x0: its `Core`.
    .global secondary_entry
secondary_entry:
    msr     DAIFSet, #0xf
    mov     x19, x0
    adr     x30, 1f
    b       drop_to_el1
1:  bl      mmu_on
    ldp     x0, x1, [x19, #CORE_STACKS] // program's stack, exceptions' stack
    mov     sp, x1
    msr     SPSel, #0
    mov     sp, x0
    address x0, el1_vectors
    msr     vbar_el1, x0
    msr     tpidr_el1, x19
    mov     x0, #CPACR_VALUE
    msr     cpacr_el1, x0
    isb
    mov     x0, x19
    mov     x29, #0
    mov     x30, #0
    bl      {secondary_main}
    b       .

// Leaves the boot stacks for those of the `Core` in x0.
    .global enter_on_own_stacks
enter_on_own_stacks:
    ldp     x0, x1, [x0, #CORE_STACKS]
    msr     SPSel, #1
    mov     sp, x1
    msr     SPSel, #0
    mov     sp, x0
    mov     x29, #0
    mov     x30, #0
    bl      {boot_core_main}
    b       .

// Turns the MMU and the caches on with the tables of `mmu_setup`.
mmu_on:
    address x0, mmu_setup
    ldp     x1, x2, [x0]
    ldp     x3, x4, [x0, #16]
    msr     mair_el1, x1
    msr     tcr_el1, x2
    msr     ttbr0_el1, x3
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el1, x4
    isb
    ret

// Invalidates [x0, x1) to the point of coherency. Clobbers x2, x3.
invalidate_range:
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x2, x3, x2
    sub     x3, x2, #1
    bic     x0, x0, x3
1:  dc      ivac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret

// Maps the 2 MiB blocks that cover [x24, x25) to themselves, Normal and
// executable, in the tables at x22; x23 is the next free table.
map_blocks:
    bic     x24, x24, #0x1fffff
    ldr     x10, =EARLY_BLOCK
1:  ubfx    x11, x24, #39, #9
    mov     x12, x22
    mov     x14, x30
    bl      next_table
    ubfx    x11, x24, #30, #9
    bl      next_table
    mov     x30, x14
    ubfx    x11, x24, #21, #9
    orr     x13, x24, x10
    str     x13, [x12, x11, lsl #3]
    add     x24, x24, #0x200000
    cmp     x24, x25
    b.lo    1b
    ret

// x12 := the table that entry x11 of table x12 points to, made if need be.
next_table:
    ldr     x13, [x12, x11, lsl #3]
    cbnz    x13, 1f
    orr     x13, x23, #3
    str     x13, [x12, x11, lsl #3]
    add     x23, x23, #0x1000
1:  and     x12, x13, #0x0000fffffffff000
    ret

    .ltorg
