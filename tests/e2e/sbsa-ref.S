// What stands where firmware would on QEMU's sbsa-ref: into the image, at EL3.
        .equ    MEMORY, 0x10000000000

        ldr     x0, =MEMORY + 0x300000  // the device tree
        ldr     x1, =MEMORY + 0x400000  // the image
        br      x1
