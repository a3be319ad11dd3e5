# made by rustc 1.95.0 (59807616e 2026-04-14)
# written by `cargo xtask asm --bless`
    push rbx
    sub rsp, 16
    mov rax, rdi
    mov rcx, qword ptr [rip + urcu_qsbr::flavor::RECORD::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL@GOTTPOFF]
    mov rdi, qword ptr fs:[rcx + 16]
    mov rcx, qword ptr [rdi]
    test cx, cx
    je 2
    mov ecx, dword ptr [rdi + 8]
    cmp ecx, -1
    je 3
    inc ecx
    mov dword ptr [rdi + 8], ecx
    mov rax, qword ptr [rax]
    test rax, rax
    je 0
    mov rbx, qword ptr [rax]
    jmp 1
0:
    xor ebx, ebx
1:
    call core::ptr::drop_in_place<urcu_core::guard::Guard<urcu_qsbr::flavor::Qsbr>>
    mov rax, rbx
    add rsp, 16
    pop rbx
    ret
2:
    call urcu_core::registration::refuse
3:
    lea rax, [rip + .Lconstant]
    mov qword ptr [rsp], rax
    lea rax, [rip + <&T as core::fmt::Display>::fmt]
    mov qword ptr [rsp + 8], rax
    lea rdi, [rip + .Lconstant]
    lea rdx, [rip + .Lconstant]
    mov rsi, rsp
    call qword ptr [rip + _RNvNtC4core9panicking9panic_fmt@GOTPCREL]
