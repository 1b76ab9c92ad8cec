// What the entry code keeps, in memory that is never cleared, and the stacks
// that the first core starts on.

// Each has cache lines of its own, of the longest there are (Core's are as
// long): what is written with the caches off must share no line with what is
// written with them on, or a cache would write that line back over it.
    .section .boot_data, "aw"
    .balign 256
elected:                                // affinity of who boots + 1; decided?
    .quad   0, 0
    .balign 256
    .global mmu_setup
mmu_setup:                              // MAIR, TCR, TTBR0, SCTLR
    .quad   0, 0, 0, 0
    .balign 256
    .global pen_release
pen_release:                            // the Core of the core to go
    .quad   0
    .balign 256

    .section .bss.boot_stacks, "aw", %nobits
    .balign 16
    .space  0x2000
boot_stack_top:
    .space  0x10000
boot_thread_stack_top:

    .section .symbols, "a"
    .balign 8
    .space  0x20000
