// What firmware does for a 16550 behind PCI, on QEMU's virt with its configuration space
// below 4 GiB (highmem=off): device 1 of the root bus is given ports, which are memory
// here. Then the image.
        .equ    CONFIGURATION, 0x3f000000 + (1 << 15)
        .equ    TREE, 0x40300000
        .equ    IMAGE, 0x40400000

        ldr     x1, =CONFIGURATION
        mov     w2, #0x1000             // at 0x3eff1000 in memory
        str     w2, [x1, #0x10]         // BAR 0
        mov     w2, #1                  // it answers to ports
        strh    w2, [x1, #4]
        dsb     sy
        ldr     x0, =TREE
        ldr     x1, =IMAGE
        br      x1
