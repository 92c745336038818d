# The agent: a program of a few hundred bytes that makes the system calls it is told to make. program.ts wraps its code into an ELF file;
# test/host/agent.test.ts holds the bytes there against what the assembler makes of this text.
#
# A message on descriptor 3 is a length (8 bytes) and so many bytes, which are put at 0x10000000. They begin with records of 64 bytes: number,
# six arguments, the error number that may be ignored (4096: any). -1 instead of a number ends them: the answer is the last result and
# where the message ended, 8 bytes each. The first error that may not be ignored ends them too. -2 forks: the child goes on, and the
# parent waits and ends as the child did.
.intel_syntax noprefix
.globl _start
_start:
  mov r12d, 0x10000000
message:
  mov rsi, r12
  mov edx, 8
  call fill
  mov rdx, [r12]
  mov rsi, r12
  call fill
  mov rbx, r12
record:
  mov rax, [rbx]
  cmp rax, -1
  je reply
  cmp rax, -2
  je fork
  mov rdi, [rbx+8]
  mov rsi, [rbx+16]
  mov rdx, [rbx+24]
  mov r10, [rbx+32]
  mov r8, [rbx+40]
  mov r9, [rbx+48]
  syscall
  mov r13, rax
  cmp rax, -4095
  jb next
  mov rcx, [rbx+56]
  cmp rcx, 4096
  je next
  add rcx, rax
  jnz reply
next:
  add rbx, 64
  jmp record
reply:
  sub rbx, r12
  mov [r12], r13
  mov [r12+8], rbx
  mov eax, 1
  mov edi, 3
  mov rsi, r12
  mov edx, 16
  syscall
  jmp message
fork:
  mov eax, 56
  mov edi, 17
  xor esi, esi
  xor edx, edx
  xor r10d, r10d
  xor r8d, r8d
  syscall
  mov r13, rax
  cmp rax, -4095
  jae reply
  test rax, rax
  jz next
  mov eax, 3
  mov edi, 3
  syscall
wait:
  mov rdi, r13
  mov rsi, r12
  xor edx, edx
  xor r10d, r10d
  mov eax, 61
  syscall
  cmp rax, r13
  je ended
  cmp eax, -4
  je wait
  jmp leave
ended:
  mov eax, [r12]
  mov edi, eax
  and edi, 0x7f
  jz exited
  add edi, 128
  jmp quit
exited:
  movzx edi, ah
  jmp quit
fill:
  xor eax, eax
  mov edi, 3
  syscall
  test rax, rax
  jle leave
  add rsi, rax
  sub rdx, rax
  jnz fill
  ret
leave:
  mov edi, 125
quit:
  mov eax, 231
  syscall
