//! Lock-free and wait-free stacks.
