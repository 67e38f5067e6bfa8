//! What commands print: tables for people, JSON for programs.

use std::io::{self, Write as _};

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

/// How a command prints what it did: a line for people, or JSON.
#[derive(Clone, Copy, Debug, Args)]
pub struct Format {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints a value as JSON, or its line.
    pub fn print(
        self,
        value: &impl Serialize,
        line: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            return json(value);
        }
        say(&line())
    }
}

/// Prints a line, or several. That nobody reads them any more must not end a command that changes something.
fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    say(&to_json(value)?)
}

/// A value as JSON.
pub fn to_json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

/// Prints the line, or the lines, of each item, in one piece.
pub fn together<T>(
    items: impl IntoIterator<Item = T>,
    lines: impl Fn(T) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let lines: Vec<String> = items.into_iter().map(lines).collect::<Result<_, _>>()?;
    say(&lines.join("\n"))
}

/// Prints rows under a header, in columns.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.add_rows(rows);
    for line in table.lines() {
        println!("{}", line.trim_end());
    }
}

/// Prints names and values, one pair a line.
pub fn fields(fields: &[(&str, String)]) {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in fields {
        println!("{name:width$}  {value}");
    }
}

/// Values with commas, or `-` when there are none.
pub fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    if texts.is_empty() {
        return "-".to_owned();
    }
    texts.join(",")
}

/// A value, or `-`.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A byte count with a binary unit.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// What is wrong with a command line, in one line: the value, and what was expected. The usage behind it would not say more.
pub fn usage_error(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let said: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_one_line() {
        let text =
            "error: invalid value 'foo' for '--x <X>'\n  [possible values: a, b]\n\nFor more\n";
        assert_eq!(
            usage_error(text),
            "error: invalid value 'foo' for '--x <X>' [possible values: a, b]"
        );
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }
}
