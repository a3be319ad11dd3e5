# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push rbx
    mov rax, rdi
    mov rcx, qword ptr [rip + urcu_qsbr::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rdi, qword ptr fs:[rcx + 16]
    mov rcx, qword ptr [rdi]
    test cx, cx
    je 3
    mov ecx, dword ptr [rdi + 8]
    cmp ecx, -1
    je 4
    inc ecx
    mov dword ptr [rdi + 8], ecx
    mov rax, qword ptr [rax]
    test rax, rax
    je 1
    mov rax, qword ptr [rax]
    mov ecx, dword ptr [rdi + 8]
    dec ecx
    mov dword ptr [rdi + 8], ecx
    je 2
0:
    pop rbx
    ret
1:
    xor eax, eax
    mov ecx, dword ptr [rdi + 8]
    dec ecx
    mov dword ptr [rdi + 8], ecx
    jne 0
2:
    movzx ecx, byte ptr [rdi + 13]
    test cl, cl
    je 0
    mov rbx, rax
    call qword ptr [rip + urcu_core::guard::end_orphan@GOTPCREL]
    mov rax, rbx
    pop rbx
    ret
3:
    call urcu_core::registration::refuse
4:
    lea rdi, [rip + .Lconstant]
    call qword ptr [rip + urcu_core::guard::too_many@GOTPCREL]
