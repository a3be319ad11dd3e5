//! Doubly linked lists that are read under RCU.
