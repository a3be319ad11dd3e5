//! A reference does not outlive its section, even if the guard borrows nothing.

use urcu_flavor as rcu;

static VALUE: rcu::Rcu<u32> = rcu::Rcu::empty();

fn main() {
    let reference = VALUE.load(&rcu::read_lock()).unwrap();
    println!("{reference}");
}
