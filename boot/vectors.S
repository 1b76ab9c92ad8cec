// Exception vectors: EL1's, and EL2's while a fabric is asked for. The program
// runs on SP_EL0 and exceptions on SP_ELx, so that an overflowed stack can
// still be reported. Rust uses the SIMD registers freely, so they go too.

    .section .text.vectors, "ax"

// Makes room, and says in x0 which of the 16 vectors was taken.
    .macro  vector kind, to
    .balign 128
    sub     sp, sp, #FRAME_SIZE
    stp     x0, x1, [sp]
    mov     x0, #\kind
    b       \to
    .endm

// Saves the rest, calls \handler with the frame and the vector, and goes back
// to where the frame then says.
    .macro  handle_exception el, handler
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x1, sp_el0
    stp     x30, x1, [sp, #240]
    mrs     x1, elr_\el
    mrs     x2, spsr_\el
    stp     x1, x2, [sp, #256]
    mrs     x1, esr_\el
    mrs     x2, far_\el
    stp     x1, x2, [sp, #272]
    mrs     x1, fpcr
    mrs     x2, fpsr
    stp     x1, x2, [sp, #288]
    add     x3, sp, #304
    stp     q0, q1, [x3]
    stp     q2, q3, [x3, #32]
    stp     q4, q5, [x3, #64]
    stp     q6, q7, [x3, #96]
    stp     q8, q9, [x3, #128]
    stp     q10, q11, [x3, #160]
    stp     q12, q13, [x3, #192]
    stp     q14, q15, [x3, #224]
    stp     q16, q17, [x3, #256]
    stp     q18, q19, [x3, #288]
    stp     q20, q21, [x3, #320]
    stp     q22, q23, [x3, #352]
    stp     q24, q25, [x3, #384]
    stp     q26, q27, [x3, #416]
    stp     q28, q29, [x3, #448]
    stp     q30, q31, [x3, #480]
    mov     x1, x0
    mov     x0, sp
    bl      \handler
    add     x3, sp, #304
    ldp     q0, q1, [x3]
    ldp     q2, q3, [x3, #32]
    ldp     q4, q5, [x3, #64]
    ldp     q6, q7, [x3, #96]
    ldp     q8, q9, [x3, #128]
    ldp     q10, q11, [x3, #160]
    ldp     q12, q13, [x3, #192]
    ldp     q14, q15, [x3, #224]
    ldp     q16, q17, [x3, #256]
    ldp     q18, q19, [x3, #288]
    ldp     q20, q21, [x3, #320]
    ldp     q22, q23, [x3, #352]
    ldp     q24, q25, [x3, #384]
    ldp     q26, q27, [x3, #416]
    ldp     q28, q29, [x3, #448]
    ldp     q30, q31, [x3, #480]
    ldp     x1, x2, [sp, #288]
    msr     fpcr, x1
    msr     fpsr, x2
    ldp     x1, x2, [sp, #256]
    msr     elr_\el, x1
    msr     spsr_\el, x2
    ldp     x30, x1, [sp, #240]
    msr     sp_el0, x1
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #FRAME_SIZE
    eret
    .endm

    .balign 2048
    .global el1_vectors
el1_vectors:
    .set    kind, 0
    .rept   16
    vector  kind, el1_exception
    .set    kind, kind + 1
    .endr

el1_exception:
    handle_exception el1, {exception}

    .balign 2048
el2_fabric_vectors:
    .set    kind, 0
    .rept   16
    vector  kind, el2_exception
    .set    kind, kind + 1
    .endr

el2_exception:
    handle_exception el2, {el2_exception}
