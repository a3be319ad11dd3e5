//! What a failed exchange has found belongs to the section, too.

use urcu_flavor as rcu;

fn main() {
    let value = rcu::Rcu::new(1);
    let thread = rcu::register().unwrap();
    let guard = thread.read_lock();
    let failed = value.compare_exchange(None, rcu::RcuBox::new(2), &guard).unwrap_err();
    drop(guard);
    println!("{:?}", failed.current);
}
