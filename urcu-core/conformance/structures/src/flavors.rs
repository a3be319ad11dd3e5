//! The five flavors, as the parameter of a test.

use urcu_core::{Flavor, FlavorVtable};

/// A flavor that structures are tested with. Threads register with `urcu_core::Thread::<F>::register()`.
pub trait Tested: Flavor {
    /// The flavor's table.
    fn vtable() -> &'static FlavorVtable;
}

impl Tested for urcu_qsbr::Flavor {
    fn vtable() -> &'static FlavorVtable {
        urcu_qsbr::vtable()
    }
}

impl Tested for urcu_mb::Flavor {
    fn vtable() -> &'static FlavorVtable {
        urcu_mb::vtable()
    }
}

impl Tested for urcu_membarrier::Flavor {
    fn vtable() -> &'static FlavorVtable {
        urcu_membarrier::vtable()
    }
}

impl Tested for urcu_signal::Flavor {
    fn vtable() -> &'static FlavorVtable {
        urcu_signal::vtable()
    }
}

impl Tested for urcu_bp::Flavor {
    fn vtable() -> &'static FlavorVtable {
        urcu_bp::vtable()
    }
}

/// Makes each function, generic over a [`Tested`] flavor, a module of five tests with a time limit.
///
/// ```
/// use structure_conformance::{on_every_flavor, Tested};
///
/// on_every_flavor! {
///     fn readers_may_register<F>() {
///         let thread = urcu_core::Thread::<F>::register().expect("not registered yet");
///         drop(thread.read_lock());
///     }
/// }
/// ```
#[macro_export]
macro_rules! on_every_flavor {
    ($($(#[$meta:meta])* fn $name:ident<$F:ident>() $body:block)*) => {
        $(
            $(#[$meta])*
            mod $name {
                use super::*;

                fn body<$F: $crate::Tested>() $body

                #[test]
                fn qsbr() {
                    $crate::within_limit(concat!(stringify!($name), "::qsbr"), body::<$crate::Qsbr>);
                }

                #[test]
                fn mb() {
                    $crate::within_limit(concat!(stringify!($name), "::mb"), body::<$crate::Mb>);
                }

                #[test]
                fn membarrier() {
                    $crate::within_limit(concat!(stringify!($name), "::membarrier"), body::<$crate::Membarrier>);
                }

                #[test]
                fn signal() {
                    $crate::within_limit(concat!(stringify!($name), "::signal"), body::<$crate::Signal>);
                }

                #[test]
                fn bp() {
                    $crate::within_limit(concat!(stringify!($name), "::bp"), body::<$crate::Bp>);
                }
            }
        )*
    };
}
