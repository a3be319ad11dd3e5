# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push rbx
    mov rdi, qword ptr [rdi]
    mov rax, qword ptr [rdi]
    test rax, rax
    je 0
    lea ecx, [rax - 1]
    cmp cx, -2
    jae 3
    and rax, -262145
    inc rax
    mov qword ptr [rdi], rax
    mov rax, qword ptr [rsi]
    test rax, rax
    jne 2
    jmp 4
0:
    mov rax, qword ptr [rip + urcu_shm::flavor::DOMAIN@GOTPCREL]
    mov rax, qword ptr [rax]
    mov rcx, qword ptr [rdi + 32]
    test rcx, rcx
    je 1
    mov rdx, qword ptr [rip + urcu_shm::flavor::PERIOD@GOTPCREL]
    mov rdx, qword ptr [rdx]
    mov rdx, qword ptr [rdx]
    or rdx, 1
    mov qword ptr [rcx], rdx
    mov qword ptr [rdi], rax
    mov qword ptr [rcx], rdx
    mov rax, qword ptr [rsi]
    test rax, rax
    jne 2
    jmp 4
1:
    mov qword ptr [rdi], rax
    mov rax, qword ptr [rsi]
    test rax, rax
    je 4
2:
    mov rax, qword ptr [rax]
    jmp 5
3:
    lea rcx, [rip + .Lconstant]
    mov rbx, rsi
    mov esi, 1
    xor edx, edx
    call qword ptr [rip + urcu_core::section::lock_slow@GOTPCREL]
    mov rsi, rbx
    mov rdi, rax
    mov rax, qword ptr [rsi]
    test rax, rax
    jne 2
4:
    xor eax, eax
5:
    mov rsi, qword ptr [rdi]
    mov ecx, esi
    and ecx, 262143
    cmp ecx, 1
    jne 7
    mov qword ptr [rdi], 0
    mov rcx, qword ptr [rdi + 32]
    test rcx, rcx
    je 6
    mov rdx, qword ptr [rcx]
    mov qword ptr [rcx], 0
    test edx, 131072
    jne 9
6:
    pop rbx
    ret
7:
    test esi, 65534
    je 8
    dec rsi
    mov qword ptr [rdi], rsi
    pop rbx
    ret
8:
    mov rbx, rax
    call qword ptr [rip + urcu_core::section::unlock_slow@GOTPCREL]
    mov rax, rbx
    pop rbx
    ret
9:
    mov rbx, rax
    call qword ptr [rip + urcu_core::mirror::wake@GOTPCREL]
    mov rax, rbx
    pop rbx
    ret
