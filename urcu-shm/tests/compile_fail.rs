//! Programs that break a rule of the types do not compile.

use urcu_shm as rcu;

#[path = "../../urcu-core/conformance/compile_fail/mod.rs"]
mod compile_fail;
