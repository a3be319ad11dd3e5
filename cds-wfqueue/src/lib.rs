//! Wait-free and lock-free queues.
