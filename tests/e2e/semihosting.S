// A guest that asks its host by semihosting for what it must not get: to make a file
// (SYS_OPEN), to remove one, to run a command. Then it ends by SYS_EXIT_EXTENDED, with
// code 7, which it may.
        .text
_start: b       begin                   // the Image header
        .word   0
        .quad   0                       // text_offset
        .quad   end - _start
        .quad   2                       // little endian, 4 KiB
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .word   0

        .macro  ask operation, block
        mov     x0, #\operation
        adr     x1, \block
        hlt     #0xf000
        .endm

begin:  adr     x2, opened              // the blocks hold addresses
        adr     x3, open
        str     x2, [x3]
        adr     x2, removed
        adr     x3, remove
        str     x2, [x3]
        adr     x2, ordered
        adr     x3, system
        str     x2, [x3]
        ask     0x01, open
        ask     0x0e, remove
        ask     0x12, system
        ask     0x20, leave
        b       .

        .balign 8
open:   .quad   0, 4, removed - opened - 1      // name, mode "w", length
remove: .quad   0, ordered - removed - 1
system: .quad   0, done - ordered - 1
leave:  .quad   0x20026, 7
opened: .asciz  "opened"
removed: .asciz "precious"
ordered: .asciz "touch ordered"
done:   .balign 16
end:
