# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push r14
    push rbx
    push rax
    mov rax, qword ptr [rip + urcu_qsbr::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rbx, qword ptr fs:[rax + 16]
    mov rax, qword ptr [rbx]
    test ax, ax
    je 4
0:
    mov eax, dword ptr [rbx + 8]
    cmp eax, -1
    je 5
    inc eax
    mov dword ptr [rbx + 8], eax
    mov rax, qword ptr [rdi]
    test rax, rax
    je 1
    mov r14, qword ptr [rax]
    mov eax, dword ptr [rbx + 8]
    dec eax
    mov dword ptr [rbx + 8], eax
    jne 3
    jmp 2
1:
    xor r14d, r14d
    mov eax, dword ptr [rbx + 8]
    dec eax
    mov dword ptr [rbx + 8], eax
    jne 3
2:
    mov rdi, rbx
    call qword ptr [rip + urcu_core::reader::Reader::last_guard_acts@GOTPCREL]
    test al, al
    jne 6
3:
    mov rax, r14
    add rsp, 8
    pop rbx
    pop r14
    ret
4:
    mov r14, rdi
    mov rdi, rbx
    call urcu_core::quiescence::visit
    mov rdi, r14
    test al, al
    jne 0
    mov rdi, rbx
    call urcu_core::registration::refuse
5:
    lea rdi, [rip + .Lconstant]
    call qword ptr [rip + urcu_core::guard::too_many@GOTPCREL]
6:
    mov rdi, rbx
    call qword ptr [rip + urcu_core::guard::after_last_guard@GOTPCREL]
    jmp 3
