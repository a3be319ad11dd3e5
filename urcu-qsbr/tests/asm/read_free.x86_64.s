# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push rbx
    mov rax, rdi
    mov rcx, qword ptr [rip + urcu_qsbr::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rdi, qword ptr fs:[rcx + 16]
    mov rdx, qword ptr [rdi]
    test dx, dx
    je 4
    mov ecx, dword ptr [rdi + 8]
    cmp ecx, -1
    je 5
0:
    inc ecx
    mov dword ptr [rdi + 8], ecx
    mov rax, qword ptr [rax]
    test rax, rax
    je 2
    mov rax, qword ptr [rax]
    mov ecx, dword ptr [rdi + 8]
    dec ecx
    mov dword ptr [rdi + 8], ecx
    je 3
1:
    pop rbx
    ret
2:
    xor eax, eax
    mov ecx, dword ptr [rdi + 8]
    dec ecx
    mov dword ptr [rdi + 8], ecx
    jne 1
3:
    movzx ecx, byte ptr [rdi + 13]
    test cl, cl
    je 1
    mov rbx, rax
    call qword ptr [rip + urcu_core::guard::after_last_guard@GOTPCREL]
    mov rax, rbx
    pop rbx
    ret
4:
    cmp rdi, qword ptr [rip + urcu_core::reader::UNREGISTERED@GOTPCREL]
    je 6
    cmp rdi, qword ptr [rip + urcu_core::reader::EXITED@GOTPCREL]
    je 6
    cmp byte ptr fs:[rcx + 32], 0
    je 6
    mov rcx, qword ptr [rip + urcu_qsbr::flavor::DOMAIN@GOTPCREL]
    mov rcx, qword ptr [rcx]
    mov qword ptr [rdi], rcx
    lock or dword ptr [rsp - 64], 0
    mov byte ptr [rdi + 13], 2
    mov ecx, dword ptr [rdi + 8]
    cmp ecx, -1
    jne 0
5:
    lea rdi, [rip + .Lconstant]
    call qword ptr [rip + urcu_core::guard::too_many@GOTPCREL]
6:
    call urcu_core::registration::refuse
