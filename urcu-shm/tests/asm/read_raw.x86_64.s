# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push r14
    push rbx
    push rax
    mov rbx, qword ptr [rip + urcu_shm::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rax, qword ptr fs:[rbx + 16]
    mov rcx, qword ptr [rax]
    test rcx, rcx
    je 2
    lea edx, [rcx - 1]
    cmp dx, -2
    jae 8
    inc rcx
    mov qword ptr [rax], rcx
    mov rax, qword ptr [rax + 32]
    test rax, rax
    je 0
    mov rcx, qword ptr [rax]
    test cx, cx
    je 10
0:
    mov rax, qword ptr [rdi]
    test rax, rax
    je 3
1:
    mov rax, qword ptr [rax]
    jmp 4
2:
    mov rcx, qword ptr [rip + urcu_shm::flavor::DOMAIN@GOTPCREL]
    mov rcx, qword ptr [rcx]
    or rcx, 262144
    mov rdx, qword ptr [rax + 32]
    test rdx, rdx
    je 7
    mov rsi, qword ptr [rip + urcu_shm::flavor::PERIOD@GOTPCREL]
    mov rsi, qword ptr [rsi]
    mov rsi, qword ptr [rsi]
    or rsi, 1
    mov qword ptr [rdx], rsi
    mov qword ptr [rax], rcx
    mov qword ptr [rdx], rsi
    mov rax, qword ptr [rdi]
    test rax, rax
    jne 1
3:
    xor eax, eax
4:
    mov rdi, qword ptr fs:[rbx + 16]
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
    jne 12
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
    mov qword ptr [rax], rcx
    mov rax, qword ptr [rdi]
    test rax, rax
    jne 1
    jmp 3
8:
    lea rcx, [rip + .Lconstant]
    mov r14, rdi
    mov rdi, rax
    mov esi, 1
    mov edx, 1
    call qword ptr [rip + urcu_core::section::lock_slow@GOTPCREL]
    jmp 11
9:
    mov rbx, rax
    call qword ptr [rip + urcu_core::section::unlock_slow@GOTPCREL]
    jmp 13
10:
    mov r14, rdi
    mov rdi, rax
    call qword ptr [rip + urcu_core::mirror::renew@GOTPCREL]
11:
    mov rdi, r14
    mov rax, qword ptr [rdi]
    test rax, rax
    jne 1
    jmp 3
12:
    mov rbx, rax
    call qword ptr [rip + urcu_core::mirror::wake@GOTPCREL]
13:
    mov rax, rbx
    add rsp, 8
    pop rbx
    pop r14
    ret
