//! How cost grows with the work: networks and endpoints of one uplink, and receivers of a broadcast.
//!
//! For a machine whose clock counts instructions, as in [`crate::instructions`]. Where such a machine has nothing to do, its clock
//! goes on to what comes next, so that what is waited for counts as well.

mod batch;
mod busy;
mod disk;
mod flood;
mod memory;
mod scale;

use serde_json::json;

/// Measures what is called so: `scale` or `flood`.
pub fn measure(name: &str) {
    match name {
        "scale" => scale::measure(),
        "flood" => flood::measure(),
        other => panic!("{other:?}: expected `scale` or `flood`"),
    }
}

/// Prints a figure: of what, by which way, with how many.
fn print(what: &str, way: &str, count: usize, figure: f64) {
    let line = json!({"what": what, "way": way, "count": count, "figure": figure});
    println!("{line}");
}
