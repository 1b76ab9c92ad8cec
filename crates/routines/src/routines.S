// The kernel's cache-maintenance routines, instruction for instruction.
//
// `__flush_dcache_area` and `flush_icache_range` are those of the disassembly
// in the report (RHEL 8's 4.18): the same instructions at the same offsets,
// the nops of unused alternatives included. Their patched forms and the names
// of later kernels follow. All are leaves and keep off the stack, so a fault
// anywhere in here can return to the caller.

    .section .routines, "ax"

// A fault at \from continues at \to: the kernel's exception table.
    .macro  fixup from, to
    .pushsection __ex_table, "a"
    .balign 4
    .long   (\from - .), (\to - .)
    .popsection
    .endm

// __flush_dcache_area(x0 start, x1 size): clean and invalidate to the point
// of coherency.
    routine __flush_dcache_area
    mrs     x3, ctr_el0
    nop
    ubfx    x3, x3, #16, #4
    mov     x2, #0x4
    lsl     x2, x2, x3
    add     x1, x0, x1
    sub     x3, x2, #0x1
    bic     x0, x0, x3
1:  dc      civac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret
    end_routine __flush_dcache_area

// flush_icache_range(x0 start, x1 end) and its alternatives. The four slots
// that boot-time patching fills: \idc at +0 (two), \clean at +36, \dic at +56
// (two).
    .macro  flush_icache_range_shape name, idc, clean, dic
    routine \name
    .if     \idc
    dsb     ishst
    b       7f
    .else
    nop
    nop
    .endif
    mrs     x3, ctr_el0
    nop
    ubfx    x3, x3, #16, #4
    mov     x2, #0x4
    lsl     x2, x2, x3
    sub     x3, x2, #0x1
    bic     x4, x0, x3
1:
    .if     \clean
    dc      civac, x4
    .else
    dc      cvau, x4
    .endif
    fixup   1b, 9f
    add     x4, x4, x2
    cmp     x4, x1
    b.lo    1b
    dsb     ish
7:
    .if     \dic
    isb
    b       8f
    .else
    nop
    nop
    .endif
    mrs     x3, ctr_el0
    nop
    and     x3, x3, #0xf
    mov     x2, #0x4
    lsl     x2, x2, x3
    sub     x3, x2, #0x1
    bic     x3, x0, x3
2:  ic      ivau, x3
    fixup   2b, 9f
    add     x3, x3, x2
    cmp     x3, x1
    b.lo    2b
    dsb     ish
    isb
8:  mov     x0, #0x0
3:  ret
9:  mov     x0, #-14                    // -EFAULT
    b       3b
    end_routine \name
    .endm

    flush_icache_range_shape flush_icache_range, 0, 0, 0
    flush_icache_range_shape __flush_icache_range, 0, 0, 0
    flush_icache_range_shape flush_icache_range_idc, 1, 0, 0
    flush_icache_range_shape flush_icache_range_dic, 0, 0, 1
    flush_icache_range_shape flush_icache_range_idc_dic, 1, 0, 1
    flush_icache_range_shape flush_icache_range_clean_cache, 0, 1, 0

// From 5.14 on: new names, every length an end, no fixups.

// caches_clean_inval_pou(x0 start, x1 end), where neither IDC nor DIC is set.
    routine caches_clean_inval_pou
    nop
    nop
    mov     x2, x0
    mrs     x4, ctr_el0
    nop
    ubfx    x4, x4, #16, #4
    mov     x3, #0x4
    lsl     x3, x3, x4
    sub     x4, x3, #0x1
    bic     x2, x2, x4
1:  dc      cvau, x2
    add     x2, x2, x3
    cmp     x2, x1
    b.lo    1b
    dsb     ish
    nop
    nop
    mrs     x3, ctr_el0
    nop
    and     x3, x3, #0xf
    mov     x2, #0x4
    lsl     x2, x2, x3
    sub     x3, x2, #0x1
    bic     x3, x0, x3
2:  ic      ivau, x3
    add     x3, x3, x2
    cmp     x3, x1
    b.lo    2b
    dsb     ish
    isb
    ret
    end_routine caches_clean_inval_pou

// dcache_clean_inval_poc(x0 start, x1 end)
    routine dcache_clean_inval_poc
    mrs     x3, ctr_el0
    nop
    ubfx    x3, x3, #16, #4
    mov     x2, #0x4
    lsl     x2, x2, x3
    sub     x3, x2, #0x1
    bic     x0, x0, x3
1:  dc      civac, x0
    add     x0, x0, x2
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret
    end_routine dcache_clean_inval_poc

// icache_inval_pou(x0 start, x1 end), where DIC is not set.
    routine icache_inval_pou
    nop
    nop
    mrs     x3, ctr_el0
    nop
    and     x3, x3, #0xf
    mov     x2, #0x4
    lsl     x2, x2, x3
    sub     x3, x2, #0x1
    bic     x3, x0, x3
1:  ic      ivau, x3
    add     x3, x3, x2
    cmp     x3, x1
    b.lo    1b
    dsb     ish
    isb
    ret
    end_routine icache_inval_pou
