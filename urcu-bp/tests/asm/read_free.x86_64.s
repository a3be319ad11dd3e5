# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push rbx
    mov rbx, rdi
    mov rax, qword ptr [rip + urcu_bp::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rdi, qword ptr fs:[rax + 16]
    mov rax, qword ptr [rdi]
    test rax, rax
    je 0
    lea ecx, [rax - 1]
    cmp cx, -2
    jae 2
    and rax, -262145
    inc rax
    mov qword ptr [rdi], rax
    mov rax, qword ptr [rbx]
    test rax, rax
    jne 1
    jmp 3
0:
    mov rax, qword ptr [rip + urcu_bp::flavor::DOMAIN@GOTPCREL]
    mov rax, qword ptr [rax]
    mov qword ptr [rdi], rax
    mov rax, qword ptr [rbx]
    test rax, rax
    je 3
1:
    mov rax, qword ptr [rax]
    jmp 4
2:
    lea rcx, [rip + .Lconstant]
    mov esi, 1
    xor edx, edx
    call qword ptr [rip + urcu_core::section::lock_slow@GOTPCREL]
    mov rdi, rax
    mov rax, qword ptr [rbx]
    test rax, rax
    jne 1
3:
    xor eax, eax
4:
    mov rsi, qword ptr [rdi]
    mov ecx, esi
    and ecx, 262143
    cmp ecx, 1
    jne 5
    mov qword ptr [rdi], 0
    pop rbx
    ret
5:
    test esi, 65534
    je 6
    dec rsi
    mov qword ptr [rdi], rsi
    pop rbx
    ret
6:
    mov rbx, rax
    call qword ptr [rip + urcu_core::section::unlock_slow@GOTPCREL]
    mov rax, rbx
    pop rbx
    ret
