//! The rules that types enforce: programs that break one do not compile. The crate that includes this file is a
//! flavor's test.

use urcu_conformance::compile_fail::Cases;

use crate::rcu;

#[test]
fn broken_rules_do_not_compile() {
    let marker = std::any::type_name::<rcu::Flavor>();
    let folders = (env!("CARGO_MANIFEST_DIR"), env!("CARGO_TARGET_TMPDIR"));
    let cases = Cases::prepare(env!("CARGO_PKG_NAME"), marker, folders.0, folders.1);
    let _ = cases.process().run(|| cases.compile()).succeeded();
    cases.conclude();
}
