//! Failures as people read them.

use std::error::Error;

/// A failure with its causes, as one line: what was asked, what was found, the kernel's own error.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        // Some libraries print their cause themselves.
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.join(": ").replace('\n', " ")
}

/// How many names a message has room for.
const NAMES: usize = 10;

/// Names with commas; of many, the first and how many more there are.
pub fn some_of<T: ToString>(names: &[T]) -> String {
    let shown = names.iter().take(NAMES).map(ToString::to_string);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_some_are_shown() {
        assert_eq!(some_of(&["a", "b"]), "a, b");
        let numbers: Vec<_> = (1..=12).collect();
        assert_eq!(
            some_of(&numbers),
            "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
        );
    }

    #[test]
    fn causes_are_one_line() {
        let cause = std::io::Error::other("Operation not permitted\n(really)");
        let error = anyhow::Error::from(cause).context("cannot attach");
        assert_eq!(
            one_line(error.as_ref()),
            "cannot attach: Operation not permitted (really)"
        );
    }
}
