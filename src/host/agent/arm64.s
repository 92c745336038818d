// The agent: a program of a few hundred bytes that makes the system calls it is told to make. program.ts wraps its code into an ELF file;
// test/host/agent.test.ts holds the bytes there against what the assembler makes of this text.
//
// A message on descriptor 3 is a length (8 bytes) and so many bytes, which are put at 0x10000000. They begin with records of 64 bytes: number,
// six arguments, the error number that may be ignored (4096: any). -1 instead of a number ends them: the answer is the last result and
// where the message ended, 8 bytes each. The first error that may not be ignored ends them too. -2 forks: the child goes on, and the
// parent waits and ends as the child did.
.globl _start
_start:
  movz x19, 0x1000, lsl 16
message:
  mov x1, x19
  mov x2, 8
  bl fill
  ldr x2, [x19]
  mov x1, x19
  bl fill
  mov x20, x19
record:
  ldr x8, [x20]
  cmn x8, 1
  b.eq reply
  cmn x8, 2
  b.eq fork
  ldp x0, x1, [x20, 8]
  ldp x2, x3, [x20, 24]
  ldp x4, x5, [x20, 40]
  svc 0
  mov x21, x0
  cmn x0, 4095
  b.lo next
  ldr x9, [x20, 56]
  cmp x9, 1, lsl 12
  b.eq next
  adds x9, x9, x0
  b.ne reply
next:
  add x20, x20, 64
  b record
reply:
  sub x20, x20, x19
  stp x21, x20, [x19]
  mov x8, 64
  mov x0, 3
  mov x1, x19
  mov x2, 16
  svc 0
  b message
fork:
  mov x8, 220
  mov x0, 17
  mov x1, 0
  mov x2, 0
  mov x3, 0
  mov x4, 0
  svc 0
  mov x21, x0
  cmn x0, 4095
  b.hs reply
  cbz x0, next
  mov x8, 57
  mov x0, 3
  svc 0
wait:
  mov x8, 260
  mov x0, x21
  mov x1, x19
  mov x2, 0
  mov x3, 0
  svc 0
  cmp x0, x21
  b.eq ended
  cmn x0, 4
  b.eq wait
  b leave
ended:
  ldr w9, [x19]
  ands w0, w9, 0x7f
  b.eq exited
  add w0, w0, 128
  b quit
exited:
  ubfx w0, w9, 8, 8
  b quit
fill:
  mov x8, 63
  mov x0, 3
  svc 0
  cmp x0, 0
  b.le leave
  add x1, x1, x0
  subs x2, x2, x0
  b.ne fill
  ret
leave:
  mov x0, 125
quit:
  mov x8, 94
  svc 0
