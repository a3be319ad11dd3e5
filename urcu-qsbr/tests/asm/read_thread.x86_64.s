# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    mov rax, qword ptr [rsi]
    test rax, rax
    je 0
    mov rax, qword ptr [rax]
    ret
0:
    xor eax, eax
    ret
