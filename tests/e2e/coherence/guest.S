// A program for the checker of caches, two cores of QEMU's virt at EL1: right, or wrong
// in one place. Symbols from outside choose:
//   VIA      0 SEV, 1 SGI, 2 CPU_ON: how the first core tells the second, whose caches
//            are off, of a word that it has written and cleaned
//            3: it turns its own MMU and caches off, and reads that word
//            4: no word; it reads one page by two mappings
//   DSB      is there one between the maintenance and that?
//   SECOND   what MAIR has for the second mapping
        .equ    SCRATCH, 0x09000024     // UARTIBRD keeps what is written to it
        .equ    ALIAS, 0x40000000       // from one mapping to the other

        .text
        .global _start
_start: adr     x0, tables
        ldr     x1, =(0xff << 8) | (SECOND << 16)
        ldr     x2, =25 | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 32) | (1 << 23)
        msr     mair_el1, x1
        msr     tcr_el1, x2
        msr     ttbr0_el1, x0
        isb
        tlbi    vmalle1
        dsb     nsh
        isb
        mrs     x19, sctlr_el1
        mov     x0, #0x1005             // I, C, M
        orr     x0, x19, x0
        msr     sctlr_el1, x0
        isb
        ldr     x20, =SCRATCH
        adr     x21, word
        str     wzr, [x20]
        .if     VIA == 4
        ldr     w0, [x21]
        mov     x1, #ALIAS
        ldr     w0, [x21, x1]
        b       over
        .endif
        .if     VIA < 2
        bl      start_second
        .endif
        mov     w0, #1
        str     w0, [x21]
        .global clean
clean:  dc      civac, x21
        .if     DSB
        dsb     sy
        .endif
        .if     VIA == 0
        sev
        .elseif VIA == 1
        mov     x0, #2
        msr     S3_0_C12_C11_5, x0      // ICC_SGI1R_EL1: SGI 0 to the second core
        .elseif VIA == 2
        bl      start_second
        .else
        msr     sctlr_el1, x19
        isb
        ldr     w0, [x21]
        b       over
        .endif
        dsb     sy                      // too late for whoever has been told
        mov     w0, #1
        str     w0, [x20]
1:      ldr     w0, [x20]
        cmp     w0, #2
        b.ne    1b
over:   ldr     x0, =0x84000008         // SYSTEM_OFF
        hvc     #0
        b       .

start_second:
        ldr     x0, =0xc4000003         // CPU_ON
        mov     x1, #1
        adr     x2, second
        mov     x3, xzr
        hvc     #0
        ret

// Its caches are off. It waits for the register, so that it reads the word behind all
// that the first core does.
second: ldr     x20, =SCRATCH
1:      ldr     w0, [x20]
        cmp     w0, #1
        b.ne    1b
        adr     x21, word
        .global read
read:   ldr     w0, [x21]
        mov     w0, #2
        str     w0, [x20]
        b       .
        .ltorg

        .balign 4096
word:   .word   0
        .balign 4096
// Blocks of 1 GiB: devices, memory, memory again.
tables: .quad   0x00000000 | (0 << 2) | (1 << 10) | 1
        .quad   0x40000000 | (1 << 2) | (3 << 8) | (1 << 10) | 1
        .quad   0x40000000 | (2 << 2) | (3 << 8) | (1 << 10) | 1
        .balign 4096
