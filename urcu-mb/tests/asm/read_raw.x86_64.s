# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push r14
    push rbx
    push rax
    mov rbx, qword ptr [rip + urcu_mb::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rax, qword ptr fs:[rbx + 16]
    mov rcx, qword ptr [rax]
    test rcx, rcx
    je 0
    lea edx, [rcx - 1]
    cmp dx, -2
    jae 2
    inc rcx
    mov qword ptr [rax], rcx
    mov rax, qword ptr [rdi]
    test rax, rax
    jne 1
    jmp 3
0:
    mov rcx, qword ptr [rip + urcu_mb::flavor::DOMAIN@GOTPCREL]
    mov rcx, qword ptr [rcx]
    or rcx, 262144
    xchg qword ptr [rax], rcx
    mov rax, qword ptr [rdi]
    test rax, rax
    je 3
1:
    mov rax, qword ptr [rax]
    jmp 4
2:
    lea rcx, [rip + .Lconstant]
    mov r14, rdi
    mov rdi, rax
    xor esi, esi
    mov edx, 1
    call qword ptr [rip + urcu_core::section::lock_slow@GOTPCREL]
    mov rdi, r14
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
    jne 5
    mov qword ptr [rdi], 0
    add rsp, 8
    pop rbx
    pop r14
    ret
5:
    test esi, 65534
    je 6
    dec rsi
    mov qword ptr [rdi], rsi
    add rsp, 8
    pop rbx
    pop r14
    ret
6:
    mov rbx, rax
    call qword ptr [rip + urcu_core::section::unlock_slow@GOTPCREL]
    mov rax, rbx
    add rsp, 8
    pop rbx
    pop r14
    ret
