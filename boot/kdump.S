// The scenario `kdump`: what runs with the MMU off between the kernel that
// crashed and the crash kernel.

    .section .text.entry, "ax"

// kdump_soft_restart(x0: relocation code, x1: list, x2: entry, x3: argument).
// Everything is masked and mapped to itself; turns the MMU and the caches off.
    .global kdump_soft_restart
kdump_soft_restart:
    mov     x8, x0
    mov     x0, x1
    mov     x1, x2
    mov     x2, x3
    ldr     x4, =SCTLR_OFF
    dsb     sy
    msr     sctlr_el1, x4
    isb
    br      x8

// The relocation code; runs from the page that it was copied to. Walks the
// kexec list at x0, moves its pages, enters x1 with x2 in x0.
    .balign 64
    .global kdump_relocate
    .global kdump_relocate_end
kdump_relocate:
    mrs     x5, ctr_el0
    ubfx    x5, x5, #16, #4
    mov     x6, #4
    lsl     x6, x6, x5                  // data line
1:  ldr     x3, [x0], #8
    and     x4, x3, #0xfffffffffffff000
    tbnz    x3, #2, 5f                  // the end
    tbnz    x3, #1, 2f                  // the list goes on elsewhere
    tbnz    x3, #0, 3f                  // where pages go
    tbz     x3, #3, 1b
    // A page. What caches hold of its destination must not be written back over it.
    add     x7, x10, #0x1000
    mov     x9, x10
4:  dc      ivac, x9
    add     x9, x9, x6
    cmp     x9, x7
    b.lo    4b
    dsb     sy
6:  ldp     x11, x12, [x4], #16
    stp     x11, x12, [x10], #16
    cmp     x10, x7
    b.lo    6b
    // Nor must what a core that still runs has fetched from there meanwhile hide
    // the new contents.
    dsb     sy
    sub     x9, x10, #0x1000
7:  dc      ivac, x9
    add     x9, x9, x6
    cmp     x9, x7
    b.lo    7b
    b       1b
2:  mov     x0, x4
    b       1b
3:  mov     x10, x4
    b       1b
5:  dsb     sy
    ic      iallu
    dsb     nsh
    isb
    mov     x0, x2
    br      x1
kdump_relocate_end:

// The first instructions of the segment `kernel`; the address behind them is
// filled in when it is loaded.
    .balign 8
    .global crash_kernel_head
    .global crash_kernel_head_end
crash_kernel_head:
    ldr     x1, 1f
    br      x1
1:  .quad   0
crash_kernel_head_end:

// The crash kernel, MMU off. x0: this core's `Core`.
    .global crash_kernel_entry
crash_kernel_entry:
    msr     DAIFSet, #0xf
    mov     x19, x0
    bl      mmu_on
    ldp     x0, x1, [x19, #CORE_STACKS]
    msr     SPSel, #1
    mov     sp, x1
    msr     SPSel, #0
    mov     sp, x0
    address x0, el1_vectors
    msr     vbar_el1, x0
    msr     tpidr_el1, x19
    isb
    mov     x29, #0
    mov     x30, #0
    bl      {crash_kernel_main}
    b       .

    .ltorg
