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

#[cfg(test)]
mod tests {
    use super::*;

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
