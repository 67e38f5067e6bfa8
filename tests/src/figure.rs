//! What a test measured, for who reads its run.

use std::io::Write as _;

/// Prints a figure, also when the test passes: the test runner only holds back what `print!` writes. `cargo xtask test`
/// repeats the lines that begin so under its table.
///
/// # Panics
///
/// When standard output is gone.
pub fn figure(text: &str) {
    let mut out = std::io::stdout().lock();
    // The runner has left the cursor behind the test's name.
    writeln!(out, "\nfigure: {text}").unwrap();
}
