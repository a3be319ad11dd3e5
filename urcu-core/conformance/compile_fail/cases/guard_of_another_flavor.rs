//! A guard protects what belongs to its own flavor.

use urcu_core::{Domain, Flavor, LightBarrier, ReadSide, Reader};
use urcu_flavor as rcu;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Other;

static DOMAIN: Domain = Domain::new(Other::LAYOUT);

// SAFETY: nothing of it is ever called.
unsafe impl Flavor for Other {
    const NAME: &'static str = "other";
    const READ_SIDE: ReadSide = ReadSide::Sections(LightBarrier::Full);

    fn domain() -> &'static Domain {
        &DOMAIN
    }

    fn reader() -> &'static Reader {
        unimplemented!()
    }

    fn set_reader(_: &'static Reader) {}

    fn heavy_barrier() {}
}

fn main() {
    let value = rcu::Rcu::new(1);
    let guard = urcu_core::read_lock::<Other>();
    value.load(&guard);
}
