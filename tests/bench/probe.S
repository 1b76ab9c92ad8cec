// The least that a bring-up takes on QEMU's virt: the first core starts all others by
// PSCI, each marks itself and parks, and the machine ends when the last has. No MMU, no
// stack, nothing but the device tree's number of cores, which is passed as CPUS. Entered
// at EL2 (PSCI by SMC) or at EL1 (by HVC), as QEMU loads a kernel.
        .equ    CPU_ON, 0xc4000003
        .equ    EXIT, 0x18              // SYS_EXIT
        .equ    STOPPED, 0x20026        // ADP_Stopped_ApplicationExit

        .text
        .global _start
_start: b       begin                   // the Image header
        .word   0
        .quad   0                       // text_offset
        .quad   end - _start
        .quad   2                       // little endian, 4 KiB
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .word   0

begin:  mrs     x25, currentel
        adr     x19, arrived
        mov     x20, #1                 // the core to start
        ldr     x21, =CPUS
1:      cmp     x20, x21
        b.hs    3f
        // As QEMU numbers them: sixteen to a cluster with GICv3.
        and     x1, x20, #15
        lsr     x2, x20, #4
        orr     x1, x1, x2, lsl #8
        ldr     x0, =CPU_ON
        adr     x2, second
        mov     x3, x20
        cmp     x25, #(2 << 2)
        b.eq    2f
        hvc     #0
        b       4f
2:      smc     #0
4:      cbnz    x0, fail
        add     x20, x20, #1
        b       1b
3:      sub     x21, x21, #1
5:      ldr     x0, [x19]
        cmp     x0, x21
        b.eq    over
        wfe
        b       5b

// A mark of its own for each, and the count of all.
second: adr     x1, marks
        str     x0, [x1, x0, lsl #3]
        adr     x1, arrived
6:      ldxr    x2, [x1]
        add     x2, x2, #1
        stxr    w3, x2, [x1]
        cbnz    w3, 6b
        dsb     sy
        sev
7:      wfi
        b       7b

over:   mov     x2, #0
        b       leave
fail:   mov     x2, #1
leave:  adr     x1, block
        ldr     x0, =STOPPED
        stp     x0, x2, [x1]
        mov     x0, #EXIT
        hlt     #0xf000
        b       .

        .balign 16
block:  .quad   0, 0
arrived: .quad  0
        .balign 64
marks:  .space  512 * 8
end:
