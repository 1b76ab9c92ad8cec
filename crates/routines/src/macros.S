// A routine has a line of its own, a name and a size, so that a debugger and a
// crash log call an instruction the same.

    .macro  routine name
    .balign 64
    .global \name
    .type   \name, %function
\name:
    .endm

    .macro  end_routine name
    .size   \name, . - \name
    .endm
