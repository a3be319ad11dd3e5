# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push rbx
    mov rax, qword ptr [rsi]
    test rax, rax
    je 0
    mov rbx, qword ptr [rax]
    jmp 1
0:
    xor ebx, ebx
1:
    xor edi, edi
    call core::ptr::drop_in_place<urcu_core::guard::Guard<urcu_qsbr::flavor::Qsbr>>
    mov rax, rbx
    pop rbx
    ret
