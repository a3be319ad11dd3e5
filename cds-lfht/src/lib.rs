//! A resizable lock-free hash table.
