# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push r14
    push rbx
    push rax
    mov rbx, rdi
    mov rax, qword ptr [rip + urcu_shm::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rdi, qword ptr fs:[rax + 16]
    mov rax, qword ptr [rdi]
    test rax, rax
    je 2
    lea ecx, [rax - 1]
    cmp cx, -2
    jae 8
    and rax, -262145
    inc rax
    mov qword ptr [rdi], rax
    mov rax, qword ptr [rdi + 32]
    test rax, rax
    je 0
    mov rcx, qword ptr [rax]
    test cx, cx
    je 10
0:
    mov rax, qword ptr [rbx]
    test rax, rax
    je 3
1:
    mov rax, qword ptr [rax]
    jmp 4
2:
    mov rax, qword ptr [rip + urcu_shm::flavor::DOMAIN@GOTPCREL]
    mov rax, qword ptr [rax]
    mov rcx, qword ptr [rdi + 32]
    test rcx, rcx
    je 7
    mov rdx, qword ptr [rip + urcu_shm::flavor::PERIOD@GOTPCREL]
    mov rdx, qword ptr [rdx]
    mov rdx, qword ptr [rdx]
    or rdx, 1
    mov qword ptr [rcx], rdx
    mov qword ptr [rdi], rax
    mov qword ptr [rcx], rdx
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
    jne 6
    mov qword ptr [rdi], 0
    mov rcx, qword ptr [rdi + 32]
    test rcx, rcx
    je 5
    mov rdx, qword ptr [rcx]
    mov qword ptr [rcx], 0
    test edx, 131072
    jne 11
5:
    add rsp, 8
    pop rbx
    pop r14
    ret
6:
    test esi, 65534
    je 9
    dec rsi
    mov qword ptr [rdi], rsi
    add rsp, 8
    pop rbx
    pop r14
    ret
7:
    mov qword ptr [rdi], rax
    mov rax, qword ptr [rbx]
    test rax, rax
    jne 1
    jmp 3
8:
    lea rcx, [rip + .Lconstant]
    mov esi, 1
    xor edx, edx
    call qword ptr [rip + urcu_core::section::lock_slow@GOTPCREL]
    mov rdi, rax
    mov rax, qword ptr [rbx]
    test rax, rax
    jne 1
    jmp 3
9:
    mov rbx, rax
    call qword ptr [rip + urcu_core::section::unlock_slow@GOTPCREL]
    jmp 12
10:
    mov r14, rdi
    mov rdi, rax
    call qword ptr [rip + urcu_core::mirror::renew@GOTPCREL]
    mov rdi, r14
    mov rax, qword ptr [rbx]
    test rax, rax
    jne 1
    jmp 3
11:
    mov rbx, rax
    call qword ptr [rip + urcu_core::mirror::wake@GOTPCREL]
12:
    mov rax, rbx
    add rsp, 8
    pop rbx
    pop r14
    ret
